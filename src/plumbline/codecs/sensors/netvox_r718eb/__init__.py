"""Netvox R718EB: angles of three axes in steps of 0.1 degree."""
