"""The composition root: the daemon is put together, watched and stopped here."""
