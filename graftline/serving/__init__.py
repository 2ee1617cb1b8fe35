"""Exported models: their signatures, their versions in the serving directory, and a classifier that uses them."""
