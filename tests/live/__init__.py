"""Live tests: a real Asterisk, real phones, a real broker, and callsteward as it is installed."""
