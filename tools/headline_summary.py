#!/usr/bin/env python3
"""Write the headline's summary, results/mini/summary.json.

python tools/headline_summary.py results/mini/embedded results/mini/whisper \
    -o results/mini/summary.json

Each folder holds what `loradar compare -o` wrote and the runs' ``metrics.json``, at
VARIANT/FOLD/SEED; the first is the headline, and all stand under ``encoders`` by folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from loradar.errors import InputError
from loradar.files import write_json

#: What is taken from a comparison as it is.
FIGURES = ("average_ood_eer", "id_eer", "seeds", "folds")


def summary(folder: Path) -> dict[str, Any]:
    """Return one encoder's summary.

    Parameters
    ----------
    folder : Path
        Holds ``comparison.json`` and the runs.

    Returns
    -------
    dict
        ``MAIN_over_OTHER`` (``ratio``, ``low``, ``high``), ``average_ood_eer`` and ``id_eer`` (by
        variant), ``seeds``, ``folds``, ``encoder`` (name, or names by fold) and ``commit``.

    Raises
    ------
    InputError
        A file is missing or not valid, or the runs are of several commits.
    """
    comparison = _read(folder / "comparison.json")
    found: dict[str, Any] = {
        name: {limit: block[limit] for limit in ("ratio", "low", "high")}
        for name, block in comparison.items()
        if name.startswith(f"{comparison['main']}_over_")
    }
    found |= {name: comparison[name] for name in FIGURES}
    main = folder / comparison["main"]
    runs = [
        (fold, _read(main / fold / str(seed) / "metrics.json"))
        for fold in comparison["folds"]
        for seed in comparison["variants"][comparison["main"]]["seeds"]
    ]
    encoders = {fold: run["encoder"] for fold, run in runs}
    commits = {run["commit"] for _, run in runs}
    if len(commits) != 1:
        raise InputError(f"{main}: its runs are of several commits: {', '.join(map(str, commits))}")
    alike = len(set(encoders.values())) == 1
    found["encoder"] = next(iter(encoders.values())) if alike else encoders
    found["commit"] = commits.pop()
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a JSON object")
    return values


def main(arguments: list[str]) -> int:
    """Run the tool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("-o", dest="out", required=True, type=Path)
    given = parser.parse_args(arguments)
    try:
        encoders = {folder.name: summary(folder) for folder in given.folders}
        write_json(given.out, {**encoders[given.folders[0].name], "encoders": encoders})
    except InputError as error:
        print(f"headline_summary: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
