"""Exporters: stored rows out to other systems."""
