"""Whoever is at the other end of a connection: why it failed, how many may come in, when to try again."""
