"""Pre-training of speech encoders: masked prediction, and telling copies from their sources."""
