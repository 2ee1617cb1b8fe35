"""Duplicates: finds images that are there more than once."""
