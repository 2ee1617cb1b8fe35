"""Every knob of a run: typed, checked, and said in a line what it is for."""
