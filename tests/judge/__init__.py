"""Holds a call record against what the phones did and what Asterisk wrote down itself."""
