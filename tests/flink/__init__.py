"""Apache Flink on this machine, and what runs on it."""
