"""Connections to others: why one failed, how many may come in, when to try again."""
