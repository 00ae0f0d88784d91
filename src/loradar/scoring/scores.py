"""A manifest through a model: one score row a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from loradar.audio.quality import Quality, measure_quality
from loradar.audio.reading import load_audio
from loradar.corpora.manifest import Manifest
from loradar.detector.scorer import score_clips
from loradar.errors import InputError
from loradar.inference.model import Model
from loradar.inference.quality import gate
from loradar.inference.verdict import Verdict, decide

Progress = Callable[[int, int, str], None]
Change = Callable[[np.ndarray, str], np.ndarray]


def score_manifest(
    model: Model,
    manifest: Manifest,
    *,
    batch_size: int = 16,
    windows: str = "all",
    prior: float = 0.5,
    change: Change | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score every clip of a manifest.

    Parameters
    ----------
    model : Model
        The detector and its calibration.
    manifest : Manifest
        The clips; labels may be empty.
    batch_size : int
        Windows a forward pass; windows of several clips share one.
    windows : {"all", "first"}
        See `loradar.detector.scorer.cut`.
    prior : float
        Prior probability of spoof.
    change : callable, optional
        (samples [T], path) -> samples [T]: what is done to each clip before it is scored.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    DataFrame
        The manifest's columns (less any of the following names), then
        ``score,llr,p_spoof,verdict,reason,seconds`` and one column ``gate:ROUTER:EXPERT`` an
        expert. A clip that cannot be read has verdict ERROR, its reason, and empty scores.
    """
    table = manifest.table.reset_index(drop=True)
    verdicts: dict[int, Verdict] = {}
    readable: list[tuple[int, Quality]] = []

    def clips() -> Iterator[np.ndarray]:
        for row, path in enumerate(table["path"]):
            try:
                samples = load_audio(str(path))
            except InputError as error:
                verdicts[row] = Verdict(str(path), "ERROR", reasons=(str(error),))
                continue
            if change is not None:
                samples = change(samples, str(path))
            readable.append((row, measure_quality(samples)))
            yield samples

    scored = score_clips(model.detector, clips(), batch_size=batch_size, mode=windows)
    for place, clip in enumerate(scored):
        row, quality = readable[place]
        verdicts[row] = decide(
            str(table["path"][row]),
            clip,
            calibration=model.calibration,
            prior=prior,
            gate=gate(quality),
            quality=quality,
            model=model.name,
        )
        if progress is not None:
            progress(len(verdicts), len(table), "scoring")
    if progress is not None:
        progress(len(table), len(table), "scoring")
    columns = _columns([verdicts[row] for row in range(len(table))])
    # A manifest may have columns of its own called ``seconds`` or ``score``: ours replace them.
    kept = table.drop(columns=[name for name in columns if name in table])
    return pd.concat([kept, columns], axis=1)


def without_gates(table: pd.DataFrame) -> pd.DataFrame:
    """Drop the experts' columns, which a score file does not hold."""
    return table.drop(columns=[name for name in table if str(name).startswith("gate:")])


def _columns(verdicts: list[Verdict]) -> pd.DataFrame:
    rows = []
    for verdict in verdicts:
        row: dict[str, object] = {
            "score": verdict.score,
            "llr": verdict.llr,
            "p_spoof": verdict.p_spoof,
            "verdict": verdict.verdict,
            "reason": "; ".join(verdict.reasons),
            "seconds": round(verdict.seconds, 3),
        }
        for router, gates in verdict.experts.items():
            row.update({f"gate:{router}:{i}": gate for i, gate in enumerate(gates)})
        rows.append(row)
    return pd.DataFrame(rows)
