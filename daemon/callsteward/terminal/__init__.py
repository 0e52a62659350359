"""Options and tables that the commands share."""
