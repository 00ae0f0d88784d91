"""From scores to an answer that a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from loradar.audio.quality import Quality
from loradar.detector.scorer import ClipScores
from loradar.evaluation.calibration import Calibration, posterior, prior_log_odds
from loradar.evaluation.verdicts import Thresholds
from loradar.inference.aggregate import (
    LEAST_WINDOWS,
    Stretch,
    clip_llr,
    combined_llr,
    stretches,
)
from loradar.inference.foreign import places
from loradar.inference.quality import MIN_SPEECH_S, OPEN, Gate

VerdictName = Literal["BONAFIDE", "SPOOF", "UNCERTAIN", "NOT_APPLICABLE", "ERROR"]

#: Without fitted thresholds a verdict needs evidence of 2 to 1.
TWO_TO_ONE = Thresholds(bonafide=float(np.log(2.0)), spoof=-float(np.log(2.0)), right=2 / 3)


@dataclass(frozen=True)
class Segment:
    """A window, or a stretch of the timeline in which the evidence does not change.

    Attributes
    ----------
    start, end : float
        In s.
    p_spoof : float
        Posterior probability of spoof at the stated prior.
    llr : float
        Natural-log likelihood ratio, bona fide over spoof; of a stretch, its windows' mean.
    verdict : str
        BONAFIDE, SPOOF or UNCERTAIN: what holds for this stretch when it was picked among all of
        the clip's (`loradar.inference.aggregate.Stretch.corrected`).
    """

    start: float
    end: float
    p_spoof: float
    llr: float
    verdict: VerdictName = "UNCERTAIN"


@dataclass(frozen=True)
class Verdict:
    """The answer for one clip, as ``loradar detect --json`` prints it.

    Attributes
    ----------
    path : str
        The clip.
    verdict : str
        BONAFIDE, SPOOF, UNCERTAIN, NOT_APPLICABLE or ERROR.
    p_spoof, llr, score : float or None
        None only when the model could not run.
    reasons : tuple of str
        Why the answer is NOT_APPLICABLE, UNCERTAIN or ERROR, and cautions.
    segments : tuple of Segment
        The timeline, for clips longer than one window: from change to change. Stretches without
        speech are gaps.
    experts : dict
        Router -> mean gate of each expert.
    model : str
        Name of the model.
    seconds : float
        Length of the clip in s.
    windows : tuple of Segment
        Every window's evidence; not in the JSON object.
    channels : tuple of Verdict
        For a call whose two channels were judged apart: theirs.
    """

    path: str
    verdict: VerdictName
    p_spoof: float | None = None
    llr: float | None = None
    score: float | None = None
    reasons: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    experts: dict[str, tuple[float, ...]] = field(default_factory=dict)
    model: str = ""
    seconds: float = 0.0
    windows: tuple[Segment, ...] = ()
    channels: tuple[Verdict, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of DESIGN section 6; ``channels`` only where there are any."""
        result: dict[str, Any] = {
            "path": self.path,
            "verdict": self.verdict,
            "p_spoof": _rounded(self.p_spoof),
            "llr": _rounded(self.llr),
            "score": _rounded(self.score),
            "reasons": list(self.reasons),
            "segments": [
                {
                    "start": round(s.start, 3),
                    "end": round(s.end, 3),
                    "p_spoof": _rounded(s.p_spoof),
                    "llr": _rounded(s.llr),
                    "verdict": s.verdict,
                }
                for s in self.segments
            ],
            "experts": {name: [round(g, 4) for g in row] for name, row in self.experts.items()},
            "model": self.model,
            "seconds": round(self.seconds, 3),
        }
        if self.channels:
            result["channels"] = [channel.to_dict() for channel in self.channels]
        return result


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def decide(
    path: str,
    clip: ClipScores,
    *,
    calibration: Calibration | None,
    prior: float = 0.5,
    gate: Gate = OPEN,
    quality: Quality | None = None,
    model: str = "",
) -> Verdict:
    """Turn a clip's scores into a verdict.

    Parameters
    ----------
    path : str
        The clip.
    clip : ClipScores
        Its windows' scores.
    calibration : Calibration or None
        Score -> LLR. Without one the score itself stands in, and ``uncalibrated`` is a reason.
    prior : float
        Prior probability of spoof, in (0, 1).
    gate : Gate
        What the recording's quality allows (`loradar.inference.quality.gate`).
    quality : Quality, optional
        Where the speech is: windows that hold less than 0.3 s of it are left out, unless all do.
        And what they sound like, which tells where something may come from elsewhere.
    model : str
        Name of the model.

    Returns
    -------
    Verdict
        ERROR when a score is not finite; UNCERTAIN between the calibration's thresholds, which
        hold at equal priors: another prior adds its log-odds to the LLR first. Without
        thresholds, between p_spoof 1/3 and 2/3 (`TWO_TO_ONE`).
    """
    if not np.isfinite(clip.score):
        reason = "the model gave no finite score"
        return Verdict(path, "ERROR", reasons=(reason,), model=model, seconds=clip.seconds)
    scores = np.asarray(clip.scores, np.float64)
    llrs = scores if calibration is None else calibration.llr(scores)
    used = _with_speech(clip, quality)
    sound = _places(clip, quality, used)
    llr = clip_llr(llrs[used], sound)
    fitted = None if calibration is None else calibration.thresholds
    judge = _Judge(prior, fitted or TWO_TO_ONE)
    against = list(gate.reasons)
    name: VerdictName = judge.verdict(llr)
    if gate.effect is not None:
        name = gate.effect
    elif name == "UNCERTAIN":
        against.append("weak_evidence")
    if calibration is None:
        against.append("uncalibrated")
    many = len(scores) > 1
    return Verdict(
        path=path,
        verdict=name,
        p_spoof=judge.p_spoof(llr),
        llr=llr,
        score=float(scores[used].mean()),
        reasons=tuple(against),
        segments=judge.timeline(clip, llrs, used, sound) if many else (),
        experts=clip.gates,
        model=model,
        seconds=clip.seconds,
        windows=tuple(
            judge.segment(start, min(start + clip.window, clip.seconds), float(one), float(one))
            for start, one in zip(clip.starts, llrs, strict=True)
        ),
    )


def together(path: str, channels: Sequence[Verdict], *, prior: float = 0.5) -> Verdict:
    """Return the answer for a call from those for its channels.

    The call is spoofed if one channel is. Its LLR is that of a mixture over the channels
    (`loradar.inference.aggregate.combined_llr`); score, timeline, windows and experts are those of
    the channel with the lowest LLR.

    Parameters
    ----------
    path : str
        The call.
    channels : sequence of Verdict
        One a channel.
    prior : float
        As theirs.

    Returns
    -------
    Verdict
        SPOOF if one channel is; else UNCERTAIN if one is; NOT_APPLICABLE or ERROR where all are.
        Channels without an answer do not count beside others. Reasons carry their channel's
        number, from 1: ``1:no_speech``.
    """
    heard = [c for c in channels if c.verdict not in ("NOT_APPLICABLE", "ERROR")]
    told = heard or [c for c in channels if c.llr is not None] or list(channels)
    lowest = min(told, key=lambda c: np.inf if c.llr is None else c.llr)
    names = {c.verdict for c in told}
    order: tuple[VerdictName, ...] = ("SPOOF", "UNCERTAIN", "BONAFIDE", "NOT_APPLICABLE", "ERROR")
    llrs = [c.llr for c in told if c.llr is not None]
    llr = combined_llr(llrs) if llrs else None
    return replace(
        lowest,
        path=path,
        verdict=next(name for name in order if name in names),
        llr=llr,
        p_spoof=None if llr is None else float(posterior(llr, prior)),
        reasons=tuple(f"{n}:{r}" for n, c in enumerate(channels, 1) for r in c.reasons),
        channels=tuple(channels),
    )


def _with_speech(clip: ClipScores, quality: Quality | None) -> np.ndarray:
    """Which windows count, [N]: those with speech, or all when none has."""
    if quality is None or len(clip.scores) == 1:
        return np.ones(len(clip.scores), bool)
    held = [quality.speech_seconds(start, start + clip.window) for start in clip.starts]
    enough = np.asarray(held) >= MIN_SPEECH_S
    return enough if enough.any() else ~enough


def _places(clip: ClipScores, quality: Quality | None, used: np.ndarray) -> np.ndarray | None:
    """How likely each window that counts is from elsewhere, by its sound; None for a short clip."""
    kept = np.flatnonzero(used)
    if quality is None or len(kept) < LEAST_WINDOWS:
        return None
    starts = [clip.starts[row] for row in kept]
    return places(np.stack([quality.timbre_between(s, s + clip.window) for s in starts]))


@dataclass(frozen=True)
class _Judge:
    prior: float
    thresholds: Thresholds

    def p_spoof(self, llr: float) -> float:
        return float(posterior(llr, self.prior))

    def verdict(self, llr: float) -> VerdictName:
        evidence = llr + prior_log_odds(self.prior)
        if evidence >= self.thresholds.bonafide:
            return "BONAFIDE"
        return "SPOOF" if evidence <= self.thresholds.spoof else "UNCERTAIN"

    def segment(self, start: float, end: float, llr: float, corrected: float) -> Segment:
        return Segment(start, end, self.p_spoof(llr), llr, self.verdict(corrected))

    def timeline(
        self, clip: ClipScores, llrs: np.ndarray, used: np.ndarray, sound: np.ndarray | None
    ) -> tuple[Segment, ...]:
        """Stretches between changes, of the windows that count."""
        kept = np.flatnonzero(used)
        found = []
        for part in stretches(llrs[kept], sound):
            # Windows that do not count part a stretch in two.
            rows = kept[part.first : part.last]
            for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
                found.append((int(run[0]), int(run[-1]), part))
        return tuple(self._spans(clip, found))

    def _spans(self, clip: ClipScores, found: list[tuple[int, int, Stretch]]) -> list[Segment]:
        """Neighbours overlap: they meet in the middle of what they share."""
        spans = [
            [clip.starts[a], min(clip.starts[b] + clip.window, clip.seconds)] for a, b, _ in found
        ]
        for left, right in pairwise(spans):
            if left[1] > right[0]:
                left[1] = right[0] = (left[1] + right[0]) / 2
        return [
            self.segment(start, end, part.llr, part.corrected)
            for (start, end), (_, _, part) in zip(spans, found, strict=True)
        ]
