"""What is said of a call: its record, the facts on the way to it, tags, ids and numbers."""
