"""The world: the only thing in the simulation that changes."""
