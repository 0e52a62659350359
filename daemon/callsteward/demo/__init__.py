"""The parts of `callsteward demo`."""
