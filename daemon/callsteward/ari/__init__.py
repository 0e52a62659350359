"""Asterisk's REST interface: typed events, REST, the connection."""
