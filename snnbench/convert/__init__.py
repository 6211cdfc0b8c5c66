"""Conversions between a spiking network and its relatives."""
