"""Parity with the official evaluation functions: seeded sets to 1e-9, real files to 1e-6."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loradar.evaluation.det import eer, eer_convex_hull, eer_point, eer_tie_safe
from loradar.evaluation.evaluate import evaluate
from loradar.evaluation.metrics import act_dcf, auc, cllr, min_dcf, min_dcf_point
from loradar.evaluation.scorefile import join_manifest, read_scores
from loradar.evaluation.tandem import (
    A_DCF_DEFAULT,
    ASVSPOOF5,
    AsvErrors,
    min_a_dcf,
    min_t_dcf,
    min_t_dcf_2019,
)
from loradar.evaluation.tandem_eer import concurrent_t_eer


def _scores(inputs: dict) -> tuple[np.ndarray, np.ndarray]:
    """Make a case's scores by the fixture's own recipe."""
    if "seed" not in inputs:
        return np.array(inputs["bona"]), np.array(inputs["spoof"])
    rng = np.random.default_rng(inputs["seed"])
    bona = rng.normal(inputs["mu"], 1, inputs["n_bona"])
    spoof = rng.normal(-inputs["mu"], 1, inputs["n_spoof"])
    if "scale" in inputs:
        bona = inputs["scale"] * bona + inputs["shift"]
        spoof = inputs["scale"] * spoof + inputs["shift"]
    if "round_decimals" in inputs:
        bona, spoof = (np.round(part, inputs["round_decimals"]) for part in (bona, spoof))
    return bona, spoof


def test_seeded_sets_match_the_official_values(shared: Path) -> None:
    fixture = json.loads((shared / "fixtures/metrics_parity.json").read_text())
    assert len(fixture["cases"]) == 12
    for case in fixture["cases"]:
        bona, spoof = _scores(case["inputs"])
        official, checked = case["asvspoof5"], case["own_crosscheck"]
        rate, cost = eer_point(bona, spoof), min_dcf_point(bona, spoof)
        found = {
            "eer": rate.value,
            "eer_threshold": rate.threshold,
            "min_dcf(Pspoof=.05,Cmiss=1,Cfa=10)": cost.value,
            "min_dcf_threshold": cost.threshold,
            "act_dcf": act_dcf(bona, spoof),
            "cllr_bits": cllr(bona, spoof),
        }
        for name, value in found.items():
            assert value == pytest.approx(official[name], abs=1e-9), (case["name"], name)
        assert eer(bona, spoof) == pytest.approx(case["asvspoof2021_eer"], abs=1e-9)
        assert eer_tie_safe(bona, spoof) == pytest.approx(checked["eer_linear_interp"], abs=1e-9)
        assert eer_convex_hull(bona, spoof) == pytest.approx(checked["eer_rocch"], abs=1e-9)
        assert auc(bona, spoof) == pytest.approx(checked["auc"], abs=1e-9)


def test_tandem_sets_match_the_official_values(shared: Path) -> None:
    fixture = json.loads((shared / "fixtures/metrics_parity.json").read_text())
    assert len(fixture["track2"]) == 2
    for case in fixture["track2"]:
        rng = np.random.default_rng(1000 + case["seed"])
        cm = [
            rng.normal(mean, 1, size)
            for mean, size in zip((1.5, 1.5, -1.5), case["n"], strict=True)
        ]
        asv = [
            rng.normal(mean, 1, size)
            for mean, size in zip((2.0, -2.0, 0.5), case["n"], strict=True)
        ]
        fused = [0.5 * first + 0.5 * second for first, second in zip(cm, asv, strict=True)]
        for costs, key in (
            (ASVSPOOF5, "a_dcf_asvspoof5_costs"),
            (A_DCF_DEFAULT, "a_dcf_default_costs"),
        ):
            point = min_a_dcf(*fused, costs)
            assert point.value == pytest.approx(case[key]["min"], abs=1e-9)
            assert point.threshold == pytest.approx(case[key]["thr"], abs=1e-9)
        bona = np.concatenate(cm[:2])
        errors = AsvErrors.at_eer(*asv)
        at_eer = case["min_tdcf_own_asv_at_eer"]
        assert errors.p_miss == pytest.approx(at_eer["Pmiss"], abs=1e-9)
        assert errors.p_fa == pytest.approx(at_eer["Pfa_non"], abs=1e-9)
        assert errors.p_fa_spoof == pytest.approx(at_eer["Pfa_spf"], abs=1e-9)
        expected = case["min_tdcf_asvspoof5_fixed_asv"]["value"]
        assert min_t_dcf(bona, cm[2]).value == pytest.approx(expected, abs=1e-9)
        assert min_t_dcf(bona, cm[2], errors).value == pytest.approx(at_eer["value"], abs=1e-9)
        expected = case["min_tdcf_legacy_2019"]
        assert min_t_dcf_2019(bona, cm[2], errors).value == pytest.approx(expected, abs=1e-9)
        tandem = 100 * concurrent_t_eer(bona, cm[2], *asv).value
        assert tandem == pytest.approx(case["t_eer_percent"], abs=1e-9)


def test_tiny_vectors_match(shared: Path) -> None:
    expected = json.loads((shared / "fixtures/scores/expected.json").read_text())
    assert len(expected["tiny"]) == 6
    for case in expected["tiny"]:
        bona, spoof = case["bonafide"], case["spoof"]
        assert eer(bona, spoof) == pytest.approx(case["eer"], abs=1e-9)
        assert min_dcf(bona, spoof) == pytest.approx(case["min_dcf"], abs=1e-9)
        assert act_dcf(bona, spoof) == pytest.approx(case["act_dcf"], abs=1e-9)
        assert cllr(bona, spoof) == pytest.approx(case["cllr"], abs=1e-9)
        if "eer_interpolated" in case:
            assert eer_tie_safe(bona, spoof) == pytest.approx(case["eer_interpolated"], abs=1e-9)
        if "eer_threshold" in case:
            assert eer_point(bona, spoof).threshold == pytest.approx(case["eer_threshold"])
    tiny = expected["a_dcf_tiny"]
    for costs, key in ((A_DCF_DEFAULT, "default_costs"), (ASVSPOOF5, "asvspoof5_costs")):
        point = min_a_dcf(tiny["target"], tiny["nontarget"], tiny["spoof"], costs)
        assert point.value == pytest.approx(tiny[key]["value"], abs=1e-9)
        assert point.threshold == pytest.approx(tiny[key]["threshold"], abs=1e-9)


@pytest.mark.parametrize("system", ["xlsr_mamba", "xlsr_sls"])
def test_published_in_the_wild_scores_match(shared: Path, system: str) -> None:
    folder = shared / "fixtures/scores"
    name = f"{system}.in_the_wild.txt.gz"
    expected = json.loads((folder / "expected.json").read_text())["files"][name]
    manifest = pd.read_csv(folder / expected["labels"]).rename(columns={"file_name": "path"})
    manifest["label"] = manifest["label"].replace({"bona-fide": "bonafide"})
    table, extra = join_manifest(read_scores(folder / name), manifest, folder)
    assert extra == 0
    pooled = evaluate(table, resamples=0)["pooled"]
    _check(pooled, expected)
    tie_safe = expected["eer_interpolated"]
    assert 100 * pooled["eer_tie_safe"] == pytest.approx(tie_safe, abs=1e-6)
    assert 100 * pooled["eer"] == pytest.approx(expected["published_eer"], abs=5.1e-3)


def test_published_asvspoof_2019_scores_match(shared: Path) -> None:
    folder = shared / "fixtures/scores"
    name = "air_ocsoftmax.asvspoof2019_la_eval.txt.gz"
    expected = json.loads((folder / "expected.json").read_text())["files"][name]
    names = ["path", "attack", "label", "score"]
    table = pd.read_csv(folder / name, sep=" ", header=None, names=names)
    table["score"] = -table["score"]
    report = evaluate(table, resamples=0)
    _check(report["pooled"], expected)
    assert list(report["by_attack"]) == [f"A{number:02d}" for number in range(7, 20)]
    assert {block["bonafide"] for block in report["by_attack"].values()} == {7355}


def test_published_asvspoof5_scores_match(shared: Path) -> None:
    folder = shared / "fixtures/scores"
    name = "asvspoof5_dev.asv_cm_scores.csv.gz"
    expected = json.loads((folder / "expected.json").read_text())["files"][name]
    table = pd.read_csv(folder / name)
    kind = {1: "bonafide", 2: "bonafide", 0: "spoof"}
    trials = pd.DataFrame({"score": table["cm_score"], "label": table["sasv_label"].map(kind)})
    _check(evaluate(trials, resamples=0)["pooled"], expected["cm"])
    target, nontarget, spoof = (
        table.loc[table["sasv_label"] == value, "asv_score"] for value in (1, 2, 0)
    )
    asv = expected["asv"]
    assert 100 * eer(target, nontarget) == pytest.approx(asv["asv_eer"], abs=1e-6)
    point = min_a_dcf(target, nontarget, spoof, ASVSPOOF5)
    assert point.value == pytest.approx(asv["min_a_dcf"], abs=1e-6)
    assert point.threshold == pytest.approx(asv["a_dcf_threshold"], abs=1e-6)


def _check(pooled: dict, expected: dict) -> None:
    assert pooled["bonafide"] == expected["bonafide"]
    assert pooled["spoof"] == expected["spoof"]
    assert 100 * pooled["eer"] == pytest.approx(expected["eer"], abs=1e-6)
    for name in ("min_dcf", "act_dcf", "cllr"):
        assert pooled[name] == pytest.approx(expected[name], abs=1e-6), name
