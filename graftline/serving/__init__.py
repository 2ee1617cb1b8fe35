"""Exported models: their signatures, their versions in the serving directory, a classifier on them."""
