"""The way of the events through the daemon: read, kept, tracked, judged, stored, published."""
