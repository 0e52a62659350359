"""Tables and files made from the store."""
