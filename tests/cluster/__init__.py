"""The acceptance test of a real cluster, and a stand-in for one on which the test itself is tried."""
