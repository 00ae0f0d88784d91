"""Fixed evaluations: what is trained on, what is scored, and what is reported."""
