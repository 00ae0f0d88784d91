"""Training of the neural vocoders: spectral losses first, then adversarial ones too."""
