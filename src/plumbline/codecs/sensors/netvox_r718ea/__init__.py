"""Netvox R718EA: angles of three axes in whole degrees, and temperature."""
