"""`make demo`: real Asterisk, real phones, a real broker and the daemon, for a look."""
