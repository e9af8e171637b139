"""Where pods go: filters, scores, pre-emption, and the queue of pods that wait for a node."""
