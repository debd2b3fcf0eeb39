"""The raw store: its address, its files, its claims."""
