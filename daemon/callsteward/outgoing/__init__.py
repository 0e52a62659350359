"""A call to a client: whether it may be made."""
