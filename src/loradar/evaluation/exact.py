"""Exact intervals of counts: events over time, and shares."""

from __future__ import annotations

from scipy.stats import beta, chi2

LEVEL = 0.95


def poisson_interval(events: int, exposure: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval of a rate (Garwood, 1936).

    Parameters
    ----------
    events : int
        How many were counted.
    exposure : float
        Over how long, for instance in hours; above 0.
    level : float
        Confidence.

    Returns
    -------
    (float, float)
        Events per unit of exposure.

    Examples
    --------
    >>> [round(x, 3) for x in poisson_interval(0, 3.0)]
    [0.0, 1.23]
    >>> [round(x, 2) for x in poisson_interval(10, 1.0)]
    [4.8, 18.39]
    """
    if events < 0 or not exposure > 0:
        raise ValueError(f"{events} events in {exposure}: 0 or more in above 0 are needed")
    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    high = float(chi2.ppf(1 - tail, 2 * events + 2)) / 2
    return low / exposure, high / exposure


def share_interval(count: int, total: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson, 1934).

    Examples
    --------
    >>> [round(x, 3) for x in share_interval(0, 20)]
    [0.0, 0.168]
    """
    if not 0 <= count <= total or total < 1:
        raise ValueError(f"{count} of {total} is no share")
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
    return low, high
