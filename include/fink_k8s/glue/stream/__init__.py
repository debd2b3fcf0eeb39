"""One stream on the cluster: how it is described, submitted and observed."""
