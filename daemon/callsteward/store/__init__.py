"""What callsteward keeps: the call records in a database, the frames of open calls in a journal."""
