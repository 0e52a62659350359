"""What Prometheus scrapes: a line's calls as counters and histograms, and how the daemon itself is."""
