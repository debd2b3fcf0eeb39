"""Stopping a stream without interrupting a batch."""
