"""The living environment of one episode: a cluster, what runs in it, and its own clock."""
