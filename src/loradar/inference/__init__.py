"""One clip to a verdict and a timeline."""
