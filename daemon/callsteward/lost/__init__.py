"""Calls that nobody answered, and who has called those clients back."""
