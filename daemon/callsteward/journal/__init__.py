"""Frames on disk: the journal, its keeping and its compaction."""
