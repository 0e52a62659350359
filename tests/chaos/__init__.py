"""Faults in every phase of calls and callbacks, on a real Asterisk with real phones."""
