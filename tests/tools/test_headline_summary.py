import json
from pathlib import Path

import pytest

LIMITS = {"mean": 0.2, "low": 0.1, "high": 0.3}


@pytest.fixture(scope="module")
def summarise(tool):
    return tool("headline_summary")


def _runs(folder: Path, encoders: dict[str, str], commit: str = "c0ffee") -> Path:
    folder.mkdir()
    variants = {name: {"seeds": [0, 1]} for name in ("full", "moe_lora")}
    over = {"ratio": 0.7, "low": 0.5, "high": 0.9, "difference": -0.1, "seeds": [0, 1]}
    comparison = {
        "moe_lora_over_full": over,
        "average_ood_eer": dict.fromkeys(variants, LIMITS),
        "id_eer": dict.fromkeys(variants, LIMITS),
        "main": "moe_lora",
        "folds": list(encoders),
        "seeds": [0, 1],
        "variants": variants,
    }
    (folder / "comparison.json").write_text(json.dumps(comparison))
    for fold, encoder in encoders.items():
        for seed in (0, 1):
            run = folder / "moe_lora" / fold / str(seed)
            run.mkdir(parents=True)
            metrics = {"encoder": encoder, "commit": commit if seed else "c0ffee"}
            (run / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_the_first_folder_is_the_headline_and_all_stand_by_name(summarise, tmp_path):
    embedded = _runs(tmp_path / "embedded", {"A": "runs/encoder_a", "B": "runs/encoder_b"})
    whisper = _runs(tmp_path / "whisper", {"A": "whisper", "B": "whisper"})
    out = tmp_path / "summary.json"
    assert summarise.main([str(embedded), str(whisper), "-o", str(out)]) == 0
    found = json.loads(out.read_text())
    encoders = found.pop("encoders")
    assert encoders["embedded"] == found
    assert found["encoder"] == {"A": "runs/encoder_a", "B": "runs/encoder_b"}
    assert found["moe_lora_over_full"] == {"ratio": 0.7, "low": 0.5, "high": 0.9}
    assert found["average_ood_eer"]["full"] == LIMITS
    assert (found["seeds"], found["folds"], found["commit"]) == ([0, 1], ["A", "B"], "c0ffee")
    assert encoders["whisper"]["encoder"] == "whisper"


def test_what_is_missing_or_mixed_is_one_line(summarise, tmp_path, capsys):
    out = tmp_path / "summary.json"
    assert summarise.main([str(tmp_path), "-o", str(out)]) == 2
    assert "comparison.json: cannot be read" in capsys.readouterr().err
    mixed = _runs(tmp_path / "mixed", {"A": "x"}, commit="decade")
    assert summarise.main([str(mixed), "-o", str(out)]) == 2
    assert "several commits: " in capsys.readouterr().err
    assert not out.exists()
