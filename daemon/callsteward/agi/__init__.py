"""FastAGI: questions that a dialplan must have answered at once, before the call goes on."""
