"""Tools over a living world: what an engineer on call asks of it, does to it, and reports."""
