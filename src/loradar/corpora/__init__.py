"""Manifests, public protocols and the sandbox corpus."""
