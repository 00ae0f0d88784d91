"""What is wrong with a recipe or a grid, in one line."""

from __future__ import annotations

from pydantic import ValidationError


def explain(error: ValidationError) -> str:
    """Return what pydantic complains about as one line."""
    parts = []
    for item in error.errors():
        where = ".".join(str(place) for place in item["loc"]) or "recipe"
        message = item["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {'unknown key' if item['type'] == 'extra_forbidden' else message}")
    return "; ".join(parts)
