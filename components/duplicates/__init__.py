"""Duplicates: finds pictures that are there more than once."""
