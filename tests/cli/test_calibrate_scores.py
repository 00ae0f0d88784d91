import json

import numpy as np
import pandas as pd
import pytest

from loradar.evaluation.metrics import cllr


@pytest.fixture
def files(tmp_path):
    """Two systems' scores of the same 240 trials, badly calibrated, by 12 speakers."""
    rng = np.random.default_rng(0)
    real = np.arange(240) % 2 == 0
    paths = []
    for name in ("a", "b"):
        table = pd.DataFrame(
            {
                "path": [f"{i}.wav" for i in range(240)],
                "label": np.where(real, "bonafide", "spoof"),
                "speaker": [f"s{i // 2 % 12}" for i in range(240)],
                "score": 9 * (rng.normal(size=240) + np.where(real, 1.2, -1.2)) - 20,
                "verdict": "SPOOF",
            }
        )
        paths.append(tmp_path / f"{name}.csv")
        table.iloc[:: 1 if name == "a" else -1].to_csv(paths[-1], index=False)
    return paths


def _cllr(table, column):
    real = table["label"] == "bonafide"
    return cllr(table.loc[real, column], table.loc[~real, column])


def test_a_score_file_is_calibrated_by_halves(loradar, files, tmp_path):
    out, saved, plot = (tmp_path / name for name in ("out.csv", "cal.json", "plot.png"))
    ended = loradar(
        *("calibrate", files[0], "-o", out, "--save", saved, "--plot", plot, "--json"),
        *("--cost", "0.5,1,1", "--cost", "0.05,1,10"),
    )
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["method"] == "spline"
    assert "speakers apart" in report["fitted"]
    assert set(report["compared"]["methods"]) == {"spline", "isotonic", "logistic"}
    assert [point["threshold"] for point in report["operating_points"]] == pytest.approx(
        [0, np.log(0.5 / 0.95)]
    )
    table = pd.read_csv(out, keep_default_na=False)
    assert _cllr(table, "llr") == pytest.approx(report["judged"]["cllr"])
    assert _cllr(table, "llr") < 0.6 < _cllr(table, "score")
    assert set(table["verdict"]) == {""}
    assert ((table["p_spoof"] > 0.5) == (table["llr"] < 0)).all()
    assert plot.read_bytes().startswith(b"\x89PNG")

    # The saved one needs no labels.
    bare, applied = tmp_path / "bare.csv", tmp_path / "applied.csv"
    pd.read_csv(files[1])[["path", "score"]].to_csv(bare, index=False)
    ended = loradar("calibrate", bare, "--use", saved, "-o", applied)
    assert ended.code == 0, ended.err
    assert "accept at LLR >= -0.642" in ended.out
    assert np.isfinite(pd.read_csv(applied)["llr"]).all()


def test_calibration_learnt_elsewhere(loradar, files):
    ended = loradar("calibrate", files[0], "--learn-on", files[1], "--method", "logistic", "--json")
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["fitted"] == str(files[1])
    assert report["judged"]["cllr"] < report["raw"]["cllr"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--method", "platt"], "logistic, isotonic, spline"),
        (["--cost", "0.5,1"], None),
        (["--cost", "2,1,1"], "write P_SPOOF,C_MISS,C_FA"),
        (["--cost", "a"], "write P_SPOOF,C_MISS,C_FA"),
        (["--by", "room"], "no column 'room'"),
        (["--use", "none.json"], "no such calibration"),
        (["--use", "x.json", "--learn-on", "y.csv"], "give --learn-on or --use"),
        (["--dry-run"], "--dry-run is for models"),
        (["--check-on", "none.csv"], "--check-on and --right are for models"),
        (["--right", "0.7"], "--check-on and --right are for models"),
        (["-o", "folder"], "must end in"),
    ],
)
def test_mistakes_are_one_line(loradar, files, more, message):
    ended = loradar("calibrate", files[0], *more)
    if message is None:  # the cost of an acceptance has a default
        assert ended.code == 0
        return
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_scores_without_labels_cannot_be_fitted(loradar, files, tmp_path):
    bare = tmp_path / "bare.csv"
    pd.read_csv(files[0])[["path", "score"]].to_csv(bare, index=False)
    ended = loradar("calibrate", bare)
    assert ended.code == 2
    assert "no column 'label'" in ended.err
    with_labels = loradar("calibrate", bare, "--on", files[0])
    assert with_labels.code == 0, with_labels.err


def test_fusion_beats_both_and_is_applied_again(loradar, files, tmp_path):
    out, weights, again = (tmp_path / name for name in ("f.csv", "w.json", "g.csv"))
    ended = loradar("fuse", *files, "-o", out, "--save", weights, "--json")
    assert ended.code == 0, ended.err
    systems = json.loads(ended.out)["systems"]
    assert systems["fused"]["eer"] < min(systems["a.csv"]["eer"], systems["b.csv"]["eer"])
    table = pd.read_csv(out)
    assert table["path"].tolist() == [f"{i}.wav" for i in range(240)]
    assert _cllr(table, "llr") == pytest.approx(systems["fused"]["cllr"])
    assert "LLR = +0." in loradar("fuse", *files, "-o", again, "--use", weights).out
    scale = np.corrcoef(pd.read_csv(again)["score"], table["score"])[0, 1]
    assert scale > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.csv"], "two score files or more"),
        (["a.csv", "c.csv"], "no such score file"),
        (["a.csv", "b.csv", "--use", "none.json"], "no such weights"),
        (["a.csv", "short.csv"], "against the trials of"),
    ],
)
def test_fusion_mistakes(loradar, files, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    pd.read_csv("b.csv").head(9).to_csv("short.csv", index=False)
    ended = loradar("fuse", *arguments, "-o", "out.csv")
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "out.csv").exists()
