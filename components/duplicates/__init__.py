"""Duplicates: finds images that occur more than once."""
