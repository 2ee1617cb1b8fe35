"""Tests of components/tuner."""
