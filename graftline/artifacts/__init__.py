"""What components hand to each other: a file an artifact, with the names of its files and how it is written and read."""
