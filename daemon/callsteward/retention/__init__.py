"""The end of old records: deleted, with what belongs to them."""
