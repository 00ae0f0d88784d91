"""The runs on the mini benchmark's folds that pages and card tell of."""

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "results"


def reports_of(variant, fold):
    """The reports of a row's seeds."""
    paths = sorted((RESULTS / "folds_embedded" / variant / fold).glob("*/suite.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]
