"""What a verdict rests on: frequency bands and experts, each left out in turn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loradar.audio.reading import SAMPLE_RATE, load_audio
from loradar.audio.windows import tile_repeat
from loradar.detector.scorer import WindowScorer
from loradar.inference.verdict import Segment, Verdict

#: Edges of the bands that are silenced, in Hz.
BANDS = tuple(range(0, 8_001, 500))
#: Windows that are looked at: those that speak loudest for the verdict.
WINDOWS = 4


@dataclass(frozen=True)
class Effect:
    """What a part of the sound, or of the model, does to the score.

    Attributes
    ----------
    name : str
        ``500-1000 Hz``, or the expert's number.
    effect : float
        Score with it minus score without it, mean over the windows: above 0 it speaks for bona
        fide, below 0 for spoof.
    """

    name: str
    effect: float


@dataclass(frozen=True)
class Explanation:
    """What a verdict rests on.

    Attributes
    ----------
    windows : tuple of Segment
        The windows that were looked at, the loudest for the verdict first.
    bands : tuple of Effect
        From low to high.
    experts : tuple of Effect
        Empty without a mixture, and in an engine that cannot leave one out.
    """

    windows: tuple[Segment, ...]
    bands: tuple[Effect, ...]
    experts: tuple[Effect, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        bands = [
            {"low_hz": low, "high_hz": high, "effect": round(band.effect, 6)}
            for low, high, band in zip(BANDS[:-1], BANDS[1:], self.bands, strict=True)
        ]
        return {
            "windows": [[round(w.start, 3), round(w.end, 3)] for w in self.windows],
            "bands": bands,
            "experts": [
                {"expert": int(e.name), "effect": round(e.effect, 6)} for e in self.experts
            ],
        }


def explain(scorer: WindowScorer, verdict: Verdict) -> Explanation:
    """Explain a file's verdict by up to `WINDOWS` of its windows.

    Parameters
    ----------
    scorer : WindowScorer
        The detector; one in torch tells about experts too, and nobody else may use it meanwhile.
    verdict : Verdict
        With a score; its path is read again. Of a call, the mean of the channels is explained.

    Raises
    ------
    InputError
        The file cannot be read any more.
    """
    chosen = telling(verdict)
    pieces = []
    for window in chosen:
        seconds = scorer.window / SAMPLE_RATE
        samples = load_audio(verdict.path, offset_s=window.start, duration_s=seconds)
        pieces.append(tile_repeat(samples, scorer.window))
    batch = np.stack(pieces)
    return Explanation(tuple(chosen), band_effects(scorer, batch), expert_effects(scorer, batch))


def telling(verdict: Verdict) -> list[Segment]:
    """Return the windows with the most spoof where p_spoof is 1/2 or more, else with the least."""
    sign = 1 if (verdict.p_spoof or 0.0) >= 0.5 else -1
    return sorted(verdict.windows, key=lambda window: sign * window.llr)[:WINDOWS]


def without_band(batch: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return windows [B, S] (16 kHz) without what lies from ``low`` to below ``high`` Hz.

    The last band holds 8 kHz too, so that the bands add up to the whole.
    """
    spectrum = np.fft.rfft(batch, axis=1)
    hertz = np.fft.rfftfreq(batch.shape[1], 1 / SAMPLE_RATE)
    inside = (hertz >= low) & ((hertz < high) | (high >= SAMPLE_RATE / 2))
    spectrum[:, inside] = 0
    return np.fft.irfft(spectrum, batch.shape[1], axis=1).astype(np.float32)


def band_effects(
    scorer: WindowScorer, batch: np.ndarray, edges: Sequence[float] = BANDS
) -> tuple[Effect, ...]:
    """Silence each band of windows [B, S] in turn; effects from low to high."""
    whole = scorer.score_windows(batch)[0].mean()
    found = []
    for low, high in itertools.pairwise(edges):
        without = scorer.score_windows(without_band(batch, low, high))[0].mean()
        found.append(Effect(f"{low:g}-{high:g} Hz", float(whole - without)))
    return tuple(found)


def expert_effects(scorer: WindowScorer, batch: np.ndarray) -> tuple[Effect, ...]:
    """Leave each expert out in turn, in all layers at once; ``()`` where there is no mixture."""
    mixture = getattr(scorer, "mixture", None)
    if mixture is None:
        return ()
    from loradar.moe_lora.silence import silenced

    whole = scorer.score_windows(batch)[0].mean()
    found = []
    for number in range(mixture.config.total):
        with silenced(mixture, number):
            without = scorer.score_windows(batch)[0].mean()
        found.append(Effect(str(number), float(whole - without)))
    return tuple(found)
