"""A real one-node Kubernetes with all that the streams need, on a bare Linux machine."""
