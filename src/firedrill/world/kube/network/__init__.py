"""Names, addresses and routes: what reaches what, and why something does not."""
