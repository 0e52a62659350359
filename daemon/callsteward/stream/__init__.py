"""The way of events through the daemon: read, kept, tracked, judged, stored, published."""
