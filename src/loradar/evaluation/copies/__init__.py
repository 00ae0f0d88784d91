"""How close an attack's copies are to their sources, and whether they give themselves away."""
