"""The command line: thin calls of what the rooms below do."""
