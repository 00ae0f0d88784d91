"""What a detector says of long recordings against what is known of them: found, placed, alarmed.

Tables: ``recordings`` (one row each: ``name,kind,splice,length,background,seconds,verdict,llr``
and, of the stretches heard alone, ``alone``: how many, ``alone_spoof``: told as spoofed);
``segments`` and ``windows`` (``path,start,end,score,verdict``), ``truth``
(``path,start,end,spoof``: the stretches that were put in). A path is a recording's name, or
``NAME#CHANNEL`` where the channels were judged apart; times are in s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from loradar.evaluation.det import BoolArray
from loradar.evaluation.exact import poisson_interval, share_interval
from loradar.evaluation.segments import localisation

RESOLUTIONS = (0.16, 0.64)
TOUCHING_S = 0.01
Tables = dict[str, pd.DataFrame]


def called(segments: pd.DataFrame) -> pd.DataFrame:
    """Return the stretches that a timeline calls spoofed, neighbours joined.

    Parameters
    ----------
    segments : DataFrame
        ``path,start,end,verdict``.

    Returns
    -------
    DataFrame
        ``path,start,end``.

    Examples
    --------
    >>> rows = [("a", 0.0, 2.0, "SPOOF"), ("a", 2.0, 3.0, "SPOOF"), ("a", 3.0, 9.0, "BONAFIDE")]
    >>> called(pd.DataFrame(rows, columns=["path", "start", "end", "verdict"])).values.tolist()
    [['a', 0.0, 3.0]]
    """
    rows: list[tuple[str, float, float]] = []
    told = segments[segments["verdict"] == "SPOOF"].sort_values(["path", "start"])
    for path, start, end in told[["path", "start", "end"]].itertuples(index=False):
        if rows and rows[-1][0] == path and start - rows[-1][2] <= TOUCHING_S:
            rows[-1] = (path, rows[-1][1], max(end, rows[-1][2]))
        else:
            rows.append((path, start, end))
    return pd.DataFrame(rows, columns=["path", "start", "end"]).astype(
        {"start": float, "end": float}
    )


def share(count: int, total: int) -> dict[str, Any]:
    """Return ``{"count", "of", "share", "ci"}``; None where there is nothing to share."""
    known = total > 0
    return {
        "count": count,
        "of": total,
        "share": count / total if known else None,
        "ci": list(share_interval(count, total)) if known else None,
    }


def hourly(events: int, seconds: float) -> dict[str, Any]:
    """Return ``{"count", "hours", "an_hour", "ci"}`` with the exact Poisson interval."""
    hours = seconds / 3600
    return {
        "count": events,
        "hours": hours,
        "an_hour": events / hours if hours > 0 else None,
        "ci": list(poisson_interval(events, hours)) if hours > 0 else None,
    }


def measure(tables: Tables, by: str) -> dict[str, Any]:
    """Measure recordings with spoofed stretches, against their human twins, by a column.

    Parameters
    ----------
    tables : dict of DataFrame
        See the module.
    by : str
        Column of ``recordings``.

    Returns
    -------
    dict
        Value of the column -> `measure_block`; only values of recordings with spoofed stretches.
    """
    recordings = tables["recordings"]
    spoofed = recordings[recordings["kind"] == "spoof"]
    return {
        str(value): measure_block(chosen(tables, recordings[recordings[by] == value]))
        for value in spoofed[by].unique()
    }


def measure_block(tables: Tables) -> dict[str, Any]:
    """Measure some recordings.

    Parameters
    ----------
    tables : dict of DataFrame
        See the module.

    Returns
    -------
    dict
        ``detected``: recordings with a spoofed stretch that are told SPOOF; ``uncertain`` of them;
        ``alone``: their stretches that are, heard alone; ``stretches``: those that the timeline
        calls spoofed at least in part; ``error_s``: of those, how far the call's start and end are
        from the true ones (median and 90 % of both); ``false_seconds``: share of the seconds
        called spoofed that are not; ``timeline_eer`` and ``window_eer``: equal error rate over
        time and over segments (`loradar.evaluation.segments.localisation`), over recordings of
        all kinds; ``human``: kind -> recordings without a spoofed stretch that are told SPOOF.
    """
    recordings, truth = tables["recordings"], tables["truth"]
    spoofed = recordings[recordings["kind"] == "spoof"]
    fakes, calls = truth[truth["spoof"]], called(tables["segments"])
    found = [placed(fake, calls) for fake in _rows(fakes)]
    errors = [error for each in found if each is not None for error in each]
    return {
        "recordings": len(spoofed),
        "seconds": float(spoofed["seconds"].sum()),
        "detected": share(int((spoofed["verdict"] == "SPOOF").sum()), len(spoofed)),
        "uncertain": share(int((spoofed["verdict"] == "UNCERTAIN").sum()), len(spoofed)),
        "alone": share(int(spoofed["alone_spoof"].sum()), int(spoofed["alone"].sum())),
        "stretches": share(sum(each is not None for each in found), len(found)),
        "error_s": quantiles(errors),
        "false_seconds": _false_share(calls[_of(calls, spoofed)], fakes),
        "timeline_eer": _eer(tables["segments"], fakes),
        "window_eer": _eer(tables["windows"], fakes),
        "human": {
            str(kind): false_alarms(chosen(tables, rows))
            for kind, rows in recordings[recordings["kind"] != "spoof"].groupby("kind", sort=True)
        },
    }


def false_alarms(tables: Tables) -> dict[str, Any]:
    """Count the alarms of human recordings.

    Returns
    -------
    dict
        ``flagged``: recordings told SPOOF; ``uncertain``; ``unanswered``: NOT_APPLICABLE and
        ERROR; and, in those with an answer, ``stretches``: calls in the timelines an hour, and
        ``recordings``: recordings told SPOOF an hour.
    """
    recordings = tables["recordings"]
    verdict = recordings["verdict"]
    answered = recordings[~verdict.isin(["NOT_APPLICABLE", "ERROR"])]
    calls = called(tables["segments"])
    seconds = float(answered["seconds"].sum())
    flagged = int((answered["verdict"] == "SPOOF").sum())
    return {
        "flagged": share(flagged, len(answered)),
        "uncertain": share(int((answered["verdict"] == "UNCERTAIN").sum()), len(answered)),
        "unanswered": share(len(recordings) - len(answered), len(recordings)),
        "recordings": hourly(flagged, seconds),
        "stretches": hourly(int(_of(calls, answered).sum()), seconds),
    }


def placed(fake: tuple[str, float, float], calls: pd.DataFrame) -> tuple[float, float] | None:
    """Return how far the call's start and end are from a stretch's, in s; None: not called.

    Parameters
    ----------
    fake : (str, float, float)
        Path, start and end.
    calls : DataFrame
        See `called`; several that touch the stretch count as one.
    """
    path, start, end = fake
    touching = calls[(calls["path"] == path) & (calls["end"] > start) & (calls["start"] < end)]
    if touching.empty:
        return None
    return abs(float(touching["start"].min()) - start), abs(float(touching["end"].max()) - end)


def chosen(tables: Tables, recordings: pd.DataFrame) -> Tables:
    """Keep what belongs to these recordings."""
    parts = {
        name: table[_of(table, recordings)]
        for name, table in tables.items()
        if name != "recordings"
    }
    return {"recordings": recordings, **parts}


def quantiles(values: Iterable[float]) -> dict[str, float | int | None]:
    """Return ``{"count", "median", "p90"}``."""
    known = np.asarray(list(values), np.float64)
    if not known.size:
        return {"count": 0, "median": None, "p90": None}
    median, high = np.quantile(known, [0.5, 0.9])
    return {"count": known.size, "median": float(median), "p90": float(high)}


def _rows(spans: pd.DataFrame) -> list[tuple[str, float, float]]:
    columns = (spans["path"], spans["start"].astype(float), spans["end"].astype(float))
    return list(zip(*columns, strict=True))


def _of(table: pd.DataFrame, recordings: pd.DataFrame) -> BoolArray:
    names = set(recordings["name"])
    return np.array([path.partition("#")[0] in names for path in table["path"]], bool)


def _false_share(calls: pd.DataFrame, fakes: pd.DataFrame) -> float | None:
    """Share of the seconds called spoofed that are not."""
    starts, ends = (calls[name].to_numpy(np.float64) for name in ("start", "end"))
    total, right = float((ends - starts).sum()), 0.0
    for path, start, end in _rows(fakes):
        mine = (calls["path"] == path).to_numpy(bool)
        shared = np.minimum(ends[mine], end) - np.maximum(starts[mine], start)
        right += float(np.maximum(shared, 0.0).sum())
    return 1.0 - right / total if total else None


def _eer(parts: pd.DataFrame, fakes: pd.DataFrame) -> dict[str, float | None]:
    known = fakes[fakes["path"].isin(set(parts["path"]))]
    if parts.empty:
        return {"time": None, **{f"{r:g}": None for r in RESOLUTIONS}}
    found = localisation(parts, known[["path", "start", "end"]], RESOLUTIONS)
    rates = {name: cell["eer"] for name, cell in found["segment_eer"].items()}
    return {"time": found["range_eer"], **rates}


def splice_report(tables: Tables) -> dict[str, Any]:
    """Measure a set of spliced recordings (`loradar.corpora.spliced.Splicer`).

    Returns
    -------
    dict
        ``by_splice``, ``by_length`` and ``by_background``: value -> `measure_block`; ``human``:
        what was put in -> `false_alarms`, calls among them, long recordings not; ``long``:
        `measure_block` of the long ones, None without.
    """
    recordings = tables["recordings"]
    long = recordings["splice"] == "long"
    plain = ~long & ~recordings["splice"].isin(["turn", "side"])
    short, inserted = chosen(tables, recordings[~long]), chosen(tables, recordings[plain])
    human = recordings[~long & (recordings["kind"] != "spoof")]
    return {
        "by_splice": measure(short, "splice"),
        "by_length": measure(inserted, "length"),
        "by_background": measure(inserted, "background"),
        "human": {
            str(kind): false_alarms(chosen(tables, rows))
            for kind, rows in human.groupby("kind", sort=True)
        },
        "long": measure_block(chosen(tables, recordings[long])) if long.any() else None,
    }


def alarm_report(tables: Tables) -> dict[str, Any]:
    """Measure human recordings, whose table has ``voice`` and ``corpus`` too.

    Returns
    -------
    dict
        ``all`` and ``by_corpus``: `false_alarms`; ``voices``: how many have a recording told
        SPOOF.
    """
    recordings = tables["recordings"]
    alarmed = recordings[recordings["verdict"] == "SPOOF"]
    corpora = recordings.groupby("corpus", sort=True)
    return {
        "all": false_alarms(tables),
        "by_corpus": {
            str(name): false_alarms(chosen(tables, rows)) for name, rows in corpora if name
        },
        "voices": share(alarmed["voice"].nunique(), recordings["voice"].nunique()),
    }
