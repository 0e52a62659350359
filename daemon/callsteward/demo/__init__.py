"""What `callsteward demo` is made of."""
