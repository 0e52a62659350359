"""The data held of one client: handed out to them, or erased at their wish."""
