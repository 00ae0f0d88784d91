"""``make bench``: every benchmark in one run; prints a table and writes results.json.

    python benchmarks/run.py --only folder first_verdict --clips 24

measures these parts alone: their rows replace those of the same name in results.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import first_verdict
import folder
import loader
import metrics
import moe_lora_linear
import xlsr

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"


def parts(clips: int) -> dict[str, Callable[[], list[dict]]]:
    """What can be measured, by name."""
    return {
        "metrics": metrics.measure,
        "loader": loader.measure,
        "moe_lora_linear": moe_lora_linear.measure,
        "xlsr": xlsr.measure,
        "first_verdict": first_verdict.measure,
        "folder": lambda: folder.measure(clips),
    }


def merged(old: list[dict], new: list[dict]) -> list[dict]:
    """Put new rows in the place of old ones of the same name, others behind them."""
    found = {row["name"]: row for row in old} | {row["name"]: row for row in new}
    return list(found.values())


def main() -> int:
    """Run all or some; exit 1 when a target is missed."""
    names = list(parts(0))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="PART")
    parser.add_argument(
        "--clips", type=int, default=folder.CLIPS, help=f"of folder (default {folder.CLIPS})"
    )
    options = parser.parse_args()
    rows: list[dict] = []
    for name, measure in parts(options.clips).items():
        if name in options.only:
            print(f"running {name} ...", file=sys.stderr, flush=True)
            rows += measure()
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        sign = "<=" if row["better"] == "lower" else ">="
        target = "" if row["target"] is None else f"{sign} {row['target']:g}"
        mark = {True: "ok", False: "MISSED", None: ""}[row["ok"]]
        print(f"{row['name']:{width}}  {row['value']:8.3f}  {target:8}  {mark}")
    if set(options.only) < set(names) and RESULTS.is_file():
        written = merged(json.loads(RESULTS.read_text(encoding="utf-8")), rows)
    else:
        written = rows
    RESULTS.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return int(any(row["ok"] is False for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
