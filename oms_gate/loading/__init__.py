"""Loading models in a process: what its libraries get of the Hub is what was admitted."""
