"""The command line: thin calls of what the rooms below do, a file a group of commands."""
