"""Reading audio, cutting windows, augmenting."""
