"""The HTTP server: metrics, and commands."""
