"""From scores to an answer that a person can act on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from loradar.detector.scorer import ClipScores
from loradar.evaluation.calibration import Calibration, posterior, prior_log_odds
from loradar.evaluation.verdicts import Thresholds

VerdictName = Literal["BONAFIDE", "SPOOF", "UNCERTAIN", "NOT_APPLICABLE", "ERROR"]

#: Without fitted thresholds a verdict needs evidence of 2 to 1.
TWO_TO_ONE = Thresholds(bonafide=float(np.log(2.0)), spoof=-float(np.log(2.0)), right=2 / 3)


@dataclass(frozen=True)
class Segment:
    """One window of the timeline.

    Attributes
    ----------
    start, end : float
        In s.
    p_spoof : float
        Posterior probability of spoof at the stated prior.
    llr : float
        Natural-log likelihood ratio, bona fide over spoof.
    """

    start: float
    end: float
    p_spoof: float
    llr: float


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
        The timeline, for clips longer than one window.
    experts : dict
        Router -> mean gate of each expert.
    model : str
        Name of the model.
    seconds : float
        Length of the clip in s.
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

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of DESIGN section 6."""
        return {
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
                }
                for s in self.segments
            ],
            "experts": {name: [round(g, 4) for g in row] for name, row in self.experts.items()},
            "model": self.model,
            "seconds": round(self.seconds, 3),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def decide(
    path: str,
    clip: ClipScores,
    *,
    calibration: Calibration | None,
    prior: float = 0.5,
    reasons: list[str] | None = None,
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
    reasons : list of str, optional
        Reasons against a verdict (`reasons_against`): the answer is NOT_APPLICABLE.
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
    to_llr = (lambda s: np.asarray(s, float)) if calibration is None else calibration.llr
    llr = float(to_llr([clip.score])[0])
    p_spoof = float(posterior(llr, prior))
    against = list(reasons or [])
    name: VerdictName
    if against:
        name = "NOT_APPLICABLE"
    else:
        fitted = None if calibration is None else calibration.thresholds
        name = _beyond(llr + prior_log_odds(prior), fitted or TWO_TO_ONE)
        if name == "UNCERTAIN":
            against.append("weak_evidence")
    if calibration is None:
        against.append("uncalibrated")
    segments: tuple[Segment, ...] = ()
    if len(clip.starts) > 1:
        llrs = np.asarray(to_llr(list(clip.scores)), float)
        segments = tuple(
            Segment(start, min(start + clip.window, clip.seconds), float(posterior(x, prior)), x)
            for start, x in zip(clip.starts, llrs.tolist(), strict=True)
        )
    return Verdict(
        path=path,
        verdict=name,
        p_spoof=p_spoof,
        llr=llr,
        score=clip.score,
        reasons=tuple(against),
        segments=segments,
        experts=clip.gates,
        model=model,
        seconds=clip.seconds,
    )


def _beyond(evidence: float, thresholds: Thresholds) -> VerdictName:
    if evidence >= thresholds.bonafide:
        return "BONAFIDE"
    return "SPOOF" if evidence <= thresholds.spoof else "UNCERTAIN"
