"""Tests of components/exporter."""
