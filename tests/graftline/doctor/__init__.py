"""Tests of graftline/doctor."""
