"""The journal: frames on disk, kept and compacted."""
