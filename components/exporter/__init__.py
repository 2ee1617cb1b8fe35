"""Exporter: smaller forms of the model, for phones."""
