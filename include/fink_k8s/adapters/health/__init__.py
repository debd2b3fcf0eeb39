"""How streams are, in a line each, and who is told."""
