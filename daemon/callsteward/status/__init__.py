"""The daemon's present state, asked over a local socket in its state folder (`callsteward status`)."""
