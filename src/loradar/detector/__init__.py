"""Encoders, back-ends and the detector made of them; saving and loading."""
