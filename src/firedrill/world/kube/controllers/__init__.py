"""The control loops of a cluster."""
