"""Transform: turns encoded images into input for the network."""
