"""The vocabulary of calls: record, facts, tags, ids and numbers."""
