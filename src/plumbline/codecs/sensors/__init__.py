"""Bytes of LoRaWAN tilt sensors: one package a model, found by entry point."""
