"""Bring Fink's stream2raw up on Kubernetes, watch it, stop it and prove its nights."""
