"""Tests of components/data_gate."""
