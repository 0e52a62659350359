"""What the daemon is doing now, asked over a local socket in its state folder (`callsteward status`)."""
