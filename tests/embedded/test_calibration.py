"""The embedded detector's calibration is what its siblings' scores give; the card says how good."""

import json

import pytest
from tests.embedded.folds import RESULTS

from loradar.cli.trials import file_trials
from loradar.embedded import DETECTOR, FOLDER, is_installed
from loradar.evaluation.fitting import fit_and_check

RIGHT = 0.97

shipped = pytest.mark.skipif(not is_installed(DETECTOR), reason="no embedded weights in the tree")


def trials(name):
    return file_trials(RESULTS / "embedded" / f"crossfit_{name}.csv", None, None)


def told(report):
    given = report["verdicts"]
    words = [
        f"{verdict.upper()}: {100 * block['right']:.1f} % ({100 * block['low']:.1f})"
        for verdict, block in given.items()
        if verdict != "uncertain"
    ]
    return f"{'; '.join(words)}; UNCERTAIN: {100 * given['uncertain']['share']:.0f} %"


@shipped
def test_it_is_fitted_on_groups_left_out_and_the_card_says_how_good_it_is():
    card = " ".join((FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8").split())
    learnt, checked = trials("dev"), trials("eval")
    found, report = fit_and_check(
        learnt, by="speaker", right=RIGHT, method="logistic", check=checked
    )
    kept = json.loads((FOLDER / DETECTOR / "calibration.json").read_text(encoding="utf-8"))
    assert found.to_dict() == {
        **kept,
        "slope": pytest.approx(kept["slope"], rel=1e-4),
        "intercept": pytest.approx(kept["intercept"], rel=1e-4),
        "thresholds": pytest.approx(kept["thresholds"], rel=1e-3),
    }
    assert f"`eval` clips of groups left out: {told(report)}" in card
    for right in (0.95, RIGHT):
        _, report = fit_and_check(learnt, by="speaker", right=right, method="logistic")
        assert f"{right:.2f}: {told(report)}" in card


@shipped
def test_the_share_is_the_least_that_keeps_the_promise_on_the_other_half():
    learnt = trials("dev")
    for right in (0.9, 0.92, 0.95, RIGHT):
        _, report = fit_and_check(learnt, by="speaker", right=right, method="logistic")
        given = [report["verdicts"][verdict] for verdict in ("bonafide", "spoof")]
        holds = all(block["right"] >= 0.9 and block["low"] >= 0.85 for block in given)
        assert holds == (right == RIGHT)
