"""Transform: encoded pictures become what the network takes."""
