"""Simulated LoRaWAN: sensors, their frames, and the two network servers that bring them.

Frames and events are made here a second time and apart from the system's own codecs: a witness
that used them would share their mistakes.
"""
