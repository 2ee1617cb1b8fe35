"""The foundation of everything else: errors, paths, the console, threads, requests to stop, the identity of code."""
