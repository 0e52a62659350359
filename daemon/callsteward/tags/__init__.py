"""Tags: what an operator or an integration says about a call, and what follows from it."""
