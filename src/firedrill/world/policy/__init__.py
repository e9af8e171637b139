"""Policy engines: Kyverno's and Rego, each a room of its own with one interface."""
