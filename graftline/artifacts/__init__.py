"""What components hand to each other: one module per artifact, with its file names and how it is written and read."""
