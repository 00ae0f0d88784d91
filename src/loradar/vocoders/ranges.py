"""Ranges that a copy's settings are drawn from, stated where they are used."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Span:
    """Numbers from ``low`` to ``high``: evenly, or evenly by ratio when ``ratio``.

    Two integers give integers, ``high`` included.

    Examples
    --------
    >>> span = Span(2, 100, ratio=True)
    >>> span(np.random.default_rng(0)) in span, 101 in span
    (True, False)
    >>> print(span, Span(0.1, 0.5))
    2 to 100 0.1 to 0.5
    """

    low: float
    high: float
    ratio: bool = False

    def __call__(self, rng: np.random.Generator) -> int | float:
        """Draw one value; reals with four significant digits, so that settings read well."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        if whole and not self.ratio:
            return int(rng.integers(int(self.low), int(self.high) + 1))
        if self.ratio:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        value = round(value) if whole else float(f"{value:.4g}")
        return min(max(value, self.low), self.high)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"


@dataclass(frozen=True)
class OneOf:
    """One of a few values, each as likely.

    Examples
    --------
    >>> print(OneOf((0.032, 0.064)))
    0.032 or 0.064
    """

    values: tuple[Any, ...]

    def __call__(self, rng: np.random.Generator) -> Any:
        """Draw one value."""
        return self.values[int(rng.integers(len(self.values)))]

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return " or ".join(str(value) for value in self.values)


@dataclass(frozen=True)
class Sometimes:
    """``usual`` for half of the copies, else drawn.

    Examples
    --------
    >>> print(Sometimes(1.0, Span(0.2, 0.9)))
    1.0, or 0.2 to 0.9 for half of the copies
    """

    usual: Any
    drawn: Span | OneOf

    def __call__(self, rng: np.random.Generator) -> Any:
        """Draw one value."""
        return self.usual if rng.random() < 0.5 else self.drawn(rng)

    def __contains__(self, value: Any) -> bool:
        return value == self.usual or (value is not None and value in self.drawn)

    def __str__(self) -> str:
        usual = "none" if self.usual is None else self.usual
        return f"{usual}, or {self.drawn} for half of the copies"


Range = Span | OneOf | Sometimes | Callable[[np.random.Generator], Any]


class Ranges(dict[str, Range]):
    """Named ranges; called with a generator, they give the settings of one copy."""

    def __call__(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw every setting, in order."""
        return {name: draw(rng) for name, draw in self.items()}
