"""``make bench``: every benchmark in one run; prints a table and writes results.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import loader
import metrics
import moe_lora_linear
import xlsr

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run all; exit 1 when a target is missed."""
    rows: list[dict] = []
    for part in (metrics, loader, moe_lora_linear, xlsr):
        print(f"running {part.__name__} ...", file=sys.stderr, flush=True)
        rows += part.measure()
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        sign = "<=" if row["better"] == "lower" else ">="
        target = "" if row["target"] is None else f"{sign} {row['target']:g}"
        mark = {True: "ok", False: "MISSED", None: ""}[row["ok"]]
        print(f"{row['name']:{width}}  {row['value']:8.3f}  {target:8}  {mark}")
    (HERE / "results.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return int(any(row["ok"] is False for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
