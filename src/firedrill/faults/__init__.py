"""The fault library: one file for each mechanism that breaks something."""
