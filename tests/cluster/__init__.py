"""The acceptance test of a real cluster, and a stand-in that the test itself is tried against."""
