"""The metrics for Prometheus: each line's calls as counters and histograms, and the daemon's own health."""
