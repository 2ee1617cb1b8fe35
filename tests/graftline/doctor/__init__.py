"""Tests of graftline/graftline/doctor."""
