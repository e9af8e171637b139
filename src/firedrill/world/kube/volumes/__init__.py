"""Claims and volumes: which belongs to which, and who makes new ones."""
