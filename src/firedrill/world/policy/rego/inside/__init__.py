"""What runs in the subprocess. Only the standard library and the engine may be imported here."""
