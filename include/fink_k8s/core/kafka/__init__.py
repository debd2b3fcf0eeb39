"""Brokers, topics and offsets."""
