"""Tests of graftline/server."""
