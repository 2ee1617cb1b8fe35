"""Datasets: found, read, decoded, described by a schema, held against each other."""
