"""The rules of each kind, in the words of the API server."""
