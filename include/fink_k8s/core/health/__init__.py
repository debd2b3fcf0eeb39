"""The health of each stream, one line each, and who is notified."""
