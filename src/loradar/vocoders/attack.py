"""What an attack is: one way to make a spoofed copy of a real recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loradar.vocoders.analysis import Samples

Kind = Literal["classical", "neural", "program"]


@dataclass(frozen=True)
class Source:
    """What one copy is made from.

    Attributes
    ----------
    samples : ndarray of float32, [T]
        Real speech.
    sample_rate : int
        Hertz.
    transcript : str
        What is said, for speech synthesis programs; empty when unknown.
    other : ndarray of float32, [T2], optional
        Speech of another speaker at the same rate, for voice conversion.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    transcript: str = ""
    other: NDArray[np.float32] | None = None


def _nothing_missing() -> str | None:
    return None


def _no_weights() -> str:
    return ""


@dataclass(frozen=True)
class Attack:
    """One way to make a copy.

    Attributes
    ----------
    name, family : str
        Unique name; the family that evidence and ablations group by.
    kind : {"classical", "neural", "program"}
    draw : callable
        ``(rng) -> settings`` of one copy: a dict that JSON can hold, from stated ranges.
    render : callable
        ``(source, settings, rng) -> samples`` [T] at the source's rate, with its length and RMS
        when ``aligned``. A pure function of its arguments, programs excepted.
    missing : callable
        ``() -> None``, or one line: why the attack cannot run here and what to install.
    aligned : bool
        Whether copies run in time with their source, to 10 ms.
    needs : frozenset of str
        What a source must offer, of ``transcript`` and ``other``.
    weights : callable
        ``() -> text``: SHA-256 of the trained weights that copies are made with now; empty for
        attacks that are code alone.
    """

    name: str
    family: str
    kind: Kind
    draw: Callable[[np.random.Generator], dict[str, Any]]
    render: Callable[[Source, Mapping[str, Any], np.random.Generator], Samples]
    missing: Callable[[], str | None] = _nothing_missing
    aligned: bool = True
    needs: frozenset[str] = frozenset()
    weights: Callable[[], str] = _no_weights
