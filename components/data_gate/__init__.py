"""DataGate: stops the run before Transform if data validation fails."""
