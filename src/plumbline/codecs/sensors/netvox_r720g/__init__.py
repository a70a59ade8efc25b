"""Netvox R720G: position, and angles of three axes in whole degrees."""
