"""Windows through the detector: one clip's scores, in batches of equal windows.

Knows no engine, so that a detector in ONNX Runtime needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from loradar.audio.reading import SAMPLE_RATE
from loradar.audio.windows import windows


class WindowScorer(Protocol):
    """What scores windows: a `Detector`, or the same model in another engine."""

    @property
    def window(self) -> int:
        """Samples of a window."""
        ...

    def score_windows(self, batch: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return scores [B] of windows [B, S], and by router the mean gates [B, E]."""
        ...


@dataclass(frozen=True)
class ClipScores:
    """The raw scores of one clip.

    Attributes
    ----------
    starts : tuple of float
        Start of each window in s.
    scores : tuple of float
        logit(bona fide) - logit(spoof) of each window.
    seconds, window : float
        Length of the clip and of a window in s.
    gates : dict
        Router name -> mean gate of each expert over the clip's windows.
    """

    starts: tuple[float, ...]
    scores: tuple[float, ...]
    seconds: float
    window: float
    gates: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """The clip's score: the mean over its windows."""
        return float(np.mean(self.scores))


def cut(samples: np.ndarray, window: int, mode: str = "all") -> list[tuple[int, np.ndarray]]:
    """Cut a clip into windows that overlap by a third; a short clip is tiled to one.

    Parameters
    ----------
    samples : ndarray of float32, [T]
        16 kHz mono.
    window : int
        Samples of a window.
    mode : {"all", "first"}
        ``first`` keeps the first window alone.

    Returns
    -------
    list of (start, ndarray [window])
        The start in samples.
    """
    if mode == "first":
        samples = samples[:window]
    return [(int(start), part) for start, part in windows(samples, window)]


def score_clips(
    detector: WindowScorer,
    clips: Iterable[np.ndarray],
    *,
    batch_size: int = 16,
    mode: str = "all",
) -> Iterator[ClipScores]:
    """Score clips one by one, their windows batched across clips.

    Parameters
    ----------
    detector : WindowScorer
        A `Detector` in evaluation mode, or another engine's.
    clips : iterable of ndarray
        Float32 [T], 16 kHz mono; read lazily, at most a batch ahead.
    batch_size : int
        Windows a forward pass. All windows are equally long, so no padding is involved.
    mode : {"all", "first"}
        See `cut`.

    Yields
    ------
    ClipScores
        In the order of ``clips``.
    """
    waiting: list[_Partial] = []
    queue: list[tuple[_Partial, np.ndarray]] = []
    for samples in clips:
        pieces = cut(samples, detector.window, mode)
        partial = _Partial([start for start, _ in pieces], len(samples), detector.window)
        waiting.append(partial)
        for _, piece in pieces:
            queue.append((partial, piece))
            if len(queue) == batch_size:
                _run(detector, queue)
                queue = []
        while waiting and waiting[0].complete:
            yield waiting.pop(0).finish()
    if queue:
        _run(detector, queue)
    for partial in waiting:
        yield partial.finish()


class _Partial:
    """A clip some of whose windows still wait for a batch."""

    def __init__(self, starts: list[int], samples: int, window: int) -> None:
        self.starts = starts
        self.samples = samples
        self.window = window
        self.scores: list[float] = []
        self.gates: dict[str, list[np.ndarray]] = {}

    @property
    def complete(self) -> bool:
        return len(self.scores) == len(self.starts)

    def finish(self) -> ClipScores:
        return ClipScores(
            starts=tuple(start / SAMPLE_RATE for start in self.starts),
            scores=tuple(self.scores),
            seconds=self.samples / SAMPLE_RATE,
            window=self.window / SAMPLE_RATE,
            gates={
                name: tuple(float(g) for g in np.mean(rows, axis=0))
                for name, rows in self.gates.items()
            },
        )


def _run(detector: WindowScorer, queue: list[tuple[_Partial, np.ndarray]]) -> None:
    scores, gates = detector.score_windows(np.stack([piece for _, piece in queue]))
    for place, (partial, _) in enumerate(queue):
        partial.scores.append(float(scores[place]))
        for name, value in gates.items():
            partial.gates.setdefault(name, []).append(value[place])
