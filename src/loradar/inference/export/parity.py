"""Whether another engine gives a detector's scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from loradar.audio.reading import SAMPLE_RATE
from loradar.detector.scorer import WindowScorer, score_clips
from loradar.evaluation.det import eer_tie_safe

#: Largest difference in score that float32 may show, and of a gate that leads to it.
TOLERANCE = 1e-3
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Difference:
    """How far one engine's scores are from another's.

    Attributes
    ----------
    largest, mean : float
        Of |difference in score|.
    trials : int
        How many scores were compared.
    """

    largest: float
    mean: float
    trials: int

    @classmethod
    def between(cls, one: np.ndarray, other: np.ndarray) -> Difference:
        """Compare scores [N]; a score that is not finite differs without bound."""
        apart = np.abs(np.asarray(one, float) - np.asarray(other, float))
        apart = np.where(np.isfinite(apart), apart, np.inf)
        return cls(float(apart.max()), float(apart.mean()), len(apart))

    def to_dict(self) -> dict[str, float | int]:
        """Return it as JSON values."""
        return {"largest": self.largest, "mean": self.mean, "trials": self.trials}


def probes(window: int, minimum: int) -> list[np.ndarray]:
    """Return batches [B, S] that try what is dynamic: batches of 1 to 3, five lengths.

    The clips are harmonic tones that glide, with breath and pauses, so that every part of a
    detector has something to do; they are the same at every call.

    Parameters
    ----------
    window, minimum : int
        Samples of a window, and of the shortest clip that the detector takes.
    """
    rng = np.random.default_rng(20)
    lengths = [window, max(minimum, window // 2), max(minimum, 2 * window // 3 + 1)]
    lengths += [window + window // 3, max(minimum, window - 159)]
    return [
        np.stack([_voice(length, rng) for _ in range(batch)]).astype(np.float32)
        for length, batch in zip(lengths, (3, 1, 2, 1, 2), strict=True)
    ]


def _voice(length: int, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(length) / SAMPLE_RATE
    pitch = rng.uniform(90, 220) * (1 + 0.15 * np.sin(2 * np.pi * rng.uniform(0.3, 2) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 25))
    loudness = np.clip(np.sin(2 * np.pi * rng.uniform(1, 4) * time + rng.uniform(0, 6)), 0, 1)
    return 0.1 * loudness * tone + 0.003 * rng.standard_normal(length)


def probe_scores(scorer: WindowScorer, batches: Iterable[np.ndarray]) -> np.ndarray:
    """Return the scores of all clips of `probes`."""
    return np.concatenate([scorer.score_windows(batch)[0] for batch in batches])


def clip_scores(
    scorer: WindowScorer,
    clips: Iterable[np.ndarray],
    *,
    batch_size: int,
    progress: Progress | None = None,
    total: int = 0,
    what: str = "",
) -> np.ndarray:
    """Return one score a clip, as ``loradar score`` gives it."""
    scores = []
    for clip in score_clips(scorer, clips, batch_size=batch_size):
        scores.append(clip.score)
        if progress is not None:
            progress(len(scores), total, what)
    return np.array(scores)


def equal_error_rate(scores: np.ndarray, labels: Sequence[str]) -> float | None:
    """Return the EER, None unless there are clips of both labels."""
    names = np.asarray(labels)
    bonafide, spoof = scores[names == "bonafide"], scores[names == "spoof"]
    return float(eer_tie_safe(bonafide, spoof)) if len(bonafide) and len(spoof) else None
