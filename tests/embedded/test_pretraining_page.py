"""The comparison of encoders on docs/pretraining.md is what results/encoders holds."""

import json
from pathlib import Path
from statistics import mean

import pytest
from tests.embedded.folds import RESULTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pretraining.md"
ENCODERS = RESULTS / "encoders"
NAMES = {
    "random": "not pre-trained (spectral)",
    "spectral": "spectral, both objectives",
    "spectral_artifact": "spectral, artifact alone",
    "spectral_masked": "spectral, masked prediction alone",
    "conformer": "conformer, both",
    "wav2vec2": "raw waveform (Wav2Vec2), both",
}


def judged(name, kind):
    """Equal error rate in percent and cross-entropy in nats, means of two inner folds."""
    paths = sorted((ENCODERS / f"{name}.{kind}").glob("*/0/suite.json"))
    assert [path.parents[1].name for path in paths] == ["A-gan-vocoder", "A-parallel-tts"]
    blocks = [next(iter(json.loads(path.read_text())["matched"]["ood"].values())) for path in paths]
    error = mean(100 * block["eer_tie_safe"] for block in blocks)
    return [f"{error:.1f}", f"{mean(block['cross_entropy'] for block in blocks):.3f}"]


@pytest.mark.parametrize("name", NAMES)
def test_an_encoders_row(name):
    made = json.loads((ENCODERS / f"{name}.json").read_text())
    trained = name != "random"
    heard = made.get("eer") is not None and trained
    copies = f"{100 * made['eer']:.1f}, {100 * made['eer_left_out']:.1f}" if heard else ""
    row = [NAMES[name], f"{made['parameters'] / 1e6:.2f} M", str(made["steps"] if trained else 0)]
    row += [copies, *judged(name, "probe"), *judged(name, "adapted")]
    page = PAGE.read_text(encoding="utf-8").replace("*", "")
    assert f"| {' | '.join(row)} |".replace("  ", " ") in page.replace("  ", " ")
