"""Operators' statuses: what calls, phones and queues say of them together."""
