"""callsteward: follow every call of an Asterisk hotline and hold it against its service standard."""

__version__ = "0.1.0"
