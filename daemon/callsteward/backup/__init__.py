"""A copy of the database beside the running daemon, and the way back."""
