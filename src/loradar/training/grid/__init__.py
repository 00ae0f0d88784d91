"""Grids of runs: what they consist of, how one run is made, and how all are."""
