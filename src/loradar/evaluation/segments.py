"""How well spoofed parts inside clips are found: equal error rates over segments and over time.

Zhang et al., "The PartialSpoof database and countermeasures for the detection of short fake speech
segments embedded in an utterance", 2023 (segments of a fixed length), and "Range-based equal error
rate for spoof localization", 2023 (every instant counts, no segment length).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loradar.errors import InputError
from loradar.evaluation.det import BoolArray, FloatArray, WeightedEer

IntArray = NDArray[np.int64]

RESOLUTIONS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
COLUMN = "spoof_segments"
SPANS = ("path", "start", "end")
# Times are written with three decimals at best; what is nearer than this is the same instant.
TICK = 1e-4


class _Pieces(NamedTuple):
    """Parts of clips in which nothing changes, ``[N]`` each; times in ticks."""

    clip: IntArray
    start: IntArray
    length: IntArray
    score: FloatArray
    fake: BoolArray


def read_spans(path: Path | str) -> pd.DataFrame:
    """Read spoofed spans or scored segments.

    Parameters
    ----------
    path : Path or str
        A CSV table with the columns ``path,start,end`` (seconds) and, for segments, ``score``; a
        manifest whose column ``spoof_segments`` holds ``START-END`` in seconds, apart by blanks;
        or the lines of ``loradar detect --json`` (``.json``, ``.jsonl``), whose ``segments`` are
        read (``llr`` as score; a clip of one window is one segment).

    Returns
    -------
    DataFrame
        ``path``, ``start``, ``end`` and, where there is one, ``score``.

    Raises
    ------
    InputError
        The file cannot be read, a column is missing, or a span ends before it starts.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in (".json", ".jsonl"):
            table = _detected(path)
        else:
            table = pd.read_csv(path, dtype={"path": str, COLUMN: str})
        if COLUMN in table and "path" in table:
            table = _listed(table)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no table of spans: {error}") from None
    missing = [name for name in SPANS if name not in table]
    if missing:
        raise InputError(f"{path}: no column '{missing[0]}' (needs path,start,end in seconds)")
    kept = [*SPANS, *(["score"] if "score" in table else [])]
    table = table[kept]
    try:
        numbers = table[kept[1:]].astype(np.float64)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    start, end = numbers["start"].to_numpy(), numbers["end"].to_numpy()
    finite = np.isfinite(numbers.to_numpy()).all(axis=1)
    wrong = np.flatnonzero(~finite | (start < 0) | (end <= start))
    if wrong.size:
        row = int(wrong[0])
        raise InputError(f"{path}, row {row + 1}: not a span: {table.iloc[row].to_dict()}")
    return pd.concat([table["path"], numbers], axis=1)


def localisation(
    segments: pd.DataFrame, spoofed: pd.DataFrame, resolutions: Sequence[float] = RESOLUTIONS
) -> dict[str, Any]:
    """Compute equal error rates of segment scores against the spans that are spoofed.

    Parameters
    ----------
    segments : DataFrame
        ``path,start,end,score``: what a system said of each part of each clip; parts may overlap
        (their mean counts) and should leave no gap (what is in one does not count).
    spoofed : DataFrame
        ``path,start,end`` of the spoofed spans; clips that have none are bona fide throughout.
    resolutions : sequence of float
        Lengths of segments in s. A segment is spoofed if any of it is; its score is the lowest
        of the parts it touches, since one spoofed part makes it spoofed.

    Returns
    -------
    dict
        ``{"range_eer": rate over time, "segment_eer": {"0.02": {"eer", "bonafide", "spoof"}},
        "seconds": {"bonafide", "spoof"}, "clips"}``; rates are tie-safe fractions, None where a
        class is missing.

    Raises
    ------
    InputError
        No segment has a score, or a span belongs to a clip that was not scored.
    """
    if "score" not in segments or segments.empty:
        raise InputError("the segments have no scores: give path,start,end,score")
    spoofed = spoofed.assign(path=_same_paths(spoofed["path"], segments["path"]))
    unknown = set(spoofed["path"]) - set(segments["path"])
    if unknown:
        raise InputError(
            f"{len(unknown)} clips with spoofed spans have no scored segment "
            f"(first: {min(map(str, unknown))})"
        )
    pieces = _pieces(segments, spoofed)
    seconds = np.asarray(pieces.length * TICK, dtype=np.float64)
    return {
        "range_eer": _rate(pieces.score, pieces.fake, seconds),
        "segment_eer": {
            f"{resolution:g}": _at_resolution(pieces, resolution) for resolution in resolutions
        },
        "seconds": {
            "bonafide": float(seconds @ ~pieces.fake),
            "spoof": float(seconds @ pieces.fake),
        },
        "clips": int(segments["path"].nunique()),
    }


def _same_paths(paths: pd.Series[str], scored: pd.Series[str]) -> pd.Series[str]:
    """Call clips as the scored segments do, going by the file's name where it occurs once."""
    known, names = set(scored), pd.Series(scored.unique())
    stems = names.map(lambda name: Path(name).stem)
    once = dict(zip(stems, names, strict=True))
    for stem in stems[stems.duplicated()]:
        once.pop(stem, None)
    return paths.map(lambda path: path if path in known else once.get(Path(path).stem, path))


def _detected(path: Path) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        verdict = json.loads(line)
        if verdict["llr"] is None:
            continue
        whole = [{"start": 0.0, "end": verdict["seconds"], "llr": verdict["llr"]}]
        rows += [
            {
                "path": verdict["path"],
                "score": part["llr"],
                **{k: part[k] for k in ("start", "end")},
            }
            for part in verdict["segments"] or whole
        ]
    return pd.DataFrame(rows, columns=[*SPANS, "score"])


def _listed(manifest: pd.DataFrame) -> pd.DataFrame:
    """Write out the spans of a manifest's column, one row each."""
    rows = []
    cells = zip(manifest["path"], manifest[COLUMN].fillna(""), strict=True)
    for row, (path, spans) in enumerate(cells, start=1):
        for span in str(spans).split():
            start, dash, end = span.partition("-")
            if not dash:
                raise ValueError(f"row {row}, column {COLUMN}: {span!r} is not START-END")
            rows.append((path, start, end))
    return pd.DataFrame(rows, columns=list(SPANS))


def _pieces(segments: pd.DataFrame, spoofed: pd.DataFrame) -> _Pieces:
    """Cut all clips at every boundary; keep what some segment covers."""
    clips = {path: place for place, path in enumerate(segments["path"].unique())}
    starts, ends = _ticks(segments)
    spoofed_starts, spoofed_ends = _ticks(spoofed)
    # All clips lie behind one another on one line of time.
    room = int(max(ends.max(), spoofed_ends.max(initial=0))) + 1
    offset = segments["path"].map(clips).to_numpy(np.int64) * room
    spoofed_offset = spoofed["path"].map(clips).to_numpy(np.int64) * room
    edges = (starts + offset, ends + offset)
    spoofed_edges = (spoofed_starts + spoofed_offset, spoofed_ends + spoofed_offset)
    cuts = np.unique(np.concatenate((*edges, *spoofed_edges)))
    place, segment = _ranges(*(np.searchsorted(cuts, edge) for edge in edges))
    said = segments["score"].to_numpy(np.float64)[segment]
    count = np.bincount(place, minlength=cuts.size)[:-1]
    total = np.bincount(place, said, minlength=cuts.size)[:-1]
    place, _ = _ranges(*(np.searchsorted(cuts, edge) for edge in spoofed_edges))
    fake = np.bincount(place, minlength=cuts.size)[:-1] > 0
    heard = count > 0
    clip, start = np.divmod(cuts[:-1][heard], room)
    return _Pieces(clip, start, np.diff(cuts)[heard], total[heard] / count[heard], fake[heard])


def _at_resolution(pieces: _Pieces, resolution: float) -> dict[str, Any]:
    step = max(1, round(resolution / TICK))
    first = pieces.start // step
    last = (pieces.start + pieces.length - 1) // step
    number, piece = _ranges(first, last + 1)
    key = pieces.clip[piece] * (int(last.max()) + 1) + number
    _, place = np.unique(key, return_inverse=True)
    score = np.full(int(place.max()) + 1, np.inf)
    np.minimum.at(score, place, pieces.score[piece])
    fake = np.bincount(place, pieces.fake[piece]) > 0
    rate = _rate(score, fake, np.ones(score.size))
    return {"eer": rate, "bonafide": int((~fake).sum()), "spoof": int(fake.sum())}


def _ticks(spans: pd.DataFrame) -> tuple[IntArray, IntArray]:
    start, end = (np.round(spans[name].to_numpy(np.float64) / TICK) for name in ("start", "end"))
    return start.astype(np.int64), np.maximum(end, start + 1).astype(np.int64)


def _ranges(low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """Write out the ranges [low, high): every number, and which range it is of."""
    size = high - low
    owner = np.repeat(np.arange(size.size), size)
    within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    return low[owner] + within, owner


def _rate(score: FloatArray, fake: BoolArray, weight: FloatArray) -> float | None:
    if fake.all() or not fake.any():
        return None
    return WeightedEer(score, ~fake)(weight)
