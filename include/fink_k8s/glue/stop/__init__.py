"""How a stream is ended without cutting a batch."""
