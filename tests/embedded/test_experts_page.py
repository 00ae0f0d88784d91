"""What docs/experts.md says of the embedded detector's experts is what was measured."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "embedded"
RUNS = ("label", "group", "spoof_group", "spoof_corpus")


@pytest.fixture(scope="module")
def layers():
    return {
        name: list(json.loads((RESULTS / f"experts_{name}.json").read_text())["layers"].values())
        for name in RUNS
    }


def test_information(layers):
    page = (ROOT / "docs" / "experts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) ((?:\| [\d.]+ \([\d.]+\) )+)\|$", page, flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == [0, 1, 2, 3]
    for layer, (_, cells) in enumerate(rows):
        told = re.findall(r"([\d.]+) \(([\d.]+)\)", cells)
        for name, pair in zip(RUNS, told, strict=True):
            found = layers[name][layer]["information"]
            assert pair == (f"{found['bits']:.3f}", f"{found['chance_high']:.3f}")


def test_plain_words(layers):
    assert all(layer["dead"] == [] for layer in layers["group"])
    spoofs = zip(layers["spoof_group"], layers["spoof_corpus"], strict=True)
    for group, corpus in spoofs:
        assert group["information"]["bits"] == pytest.approx(
            corpus["information"]["bits"], rel=0.03
        )
    for layer in layers["group"]:
        shares = {name: np.array(row) for name, row in layer["shares"].items()}
        human = shares.pop("human")
        nearest = sorted(shares, key=lambda name: np.abs(shares[name] - human).sum())
        assert set(nearest[:2]) == {"codec-lm", "istft-vocoder"}
    entropies = [np.array(list(layer["entropy"].values())) for layer in layers["group"]]
    assert all(each.min() > 0.45 and each.max() < 0.75 for each in entropies[:3])
    assert entropies[3].min() > 0.72 and entropies[3].max() < 0.9
    third = layers["group"][2]["shares"]
    assert round(third["human"][5], 2) == 0.45
    shares = [round(third[f"{kind}-tts"][1], 2) for kind in ("parallel", "autoregressive")]
    assert shares == [0.31, 0.34]
