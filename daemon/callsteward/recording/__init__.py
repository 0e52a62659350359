"""Streams of events: recorded from Asterisk, and replayed."""
