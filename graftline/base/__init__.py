"""What everything else stands on: errors, paths, the console, threads, being asked to stop, the identity of code."""
