"""From evidence to one named cause with a remedy."""
