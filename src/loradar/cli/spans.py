"""``loradar evaluate --spans``: how well spoofed parts inside clips are found."""

from __future__ import annotations

from pathlib import Path


def run_spans(segments: Path, spans: Path, *, as_json: bool) -> None:
    """Print the equal error rates of scored segments against spoofed spans.

    Parameters
    ----------
    segments, spans : Path
        See `loradar.evaluation.segments.read_spans`.
    as_json : bool
        Print `loradar.evaluation.segments.localisation` as JSON.
    """
    import json

    import pandas as pd

    from loradar.cli.console import OUTPUT, write_output
    from loradar.evaluation.segments import localisation, read_spans
    from loradar.evaluation.table import percent, rich_table

    found = localisation(read_spans(segments), read_spans(spans))
    if as_json:
        write_output(json.dumps(found))
        return
    seconds = found["seconds"]
    rows = [
        ["every instant", found["range_eer"], *(f"{seconds[k]:,.1f} s" for k in seconds)],
        *(
            [f"segments of {length} s", cell["eer"], f"{cell['bonafide']:,}", f"{cell['spoof']:,}"]
            for length, cell in found["segment_eer"].items()
        ),
    ]
    frame = pd.DataFrame(rows, columns=["", "EER %", "bona fide", "spoof"])
    frame["EER %"] = [percent(rate) for _, rate, *_ in rows]
    OUTPUT.print(rich_table(frame, f"{segments}: spoofed parts of {found['clips']:,} clips"))
