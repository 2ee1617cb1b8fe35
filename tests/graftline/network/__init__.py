"""Tests of graftline/network."""
