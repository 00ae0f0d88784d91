"""Many clips to scores."""
