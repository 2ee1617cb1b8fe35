"""Transform: encoded images become what the network takes."""
