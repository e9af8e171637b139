"""What a host would do with what it has on disk: pure functions over its records."""
