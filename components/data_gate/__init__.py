"""DataGate: stops the run before Transform when the data is not what it should be."""
