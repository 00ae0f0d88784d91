"""The embedded detector's calibration is what pages it never heard give; the card says how good."""

import json

import pandas as pd
import pytest
from tests.embedded.folds import RESULTS

from loradar.cli.trials import file_trials
from loradar.embedded import DETECTOR, FOLDER, is_installed
from loradar.evaluation.fitting import fit_and_check

SHARES = (0.9, 0.92, 0.95, 0.97, 0.98)
HALVINGS = 20

shipped = pytest.mark.skipif(not is_installed(DETECTOR), reason="no embedded weights in the tree")


def trials(name):
    return file_trials(RESULTS / "embedded" / f"{name}.csv", None, None)


def halves(right, learnt):
    """Fitted on one half of the repositories, checked on the other."""
    return fit_and_check(learnt, by="repository", right=right, method="logistic")[1]


def kept_in(right, learnt):
    """In how many halvings of the repositories the promise is kept on the half that checks."""
    count = 0
    for number in range(HALVINGS):
        # Halves follow the hash of the names.
        names = learnt.assign(repository=[f"{number}{name}" for name in learnt["repository"]])
        given = [halves(right, names)["verdicts"][verdict] for verdict in ("bonafide", "spoof")]
        count += all((v["right"] or 0) >= 0.9 and (v["low"] or 0) >= 0.85 for v in given)
    return count


def told(report):
    given = report["verdicts"]
    words = [
        f"{verdict.upper()}: {100 * block['right']:.1f} % ({100 * block['low']:.1f})"
        for verdict, block in given.items()
        if verdict != "uncertain"
    ]
    return f"{'; '.join(words)}; UNCERTAIN: {100 * given['uncertain']['share']:.0f} %"


def kept():
    return json.loads((FOLDER / DETECTOR / "calibration.json").read_text(encoding="utf-8"))


@shipped
def test_it_is_fitted_on_what_was_held_back_and_the_card_says_how_good_it_is():
    card = " ".join((FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8").split())
    learnt, written = trials("held_back"), kept()
    right = written["thresholds"]["right"]
    found, report = fit_and_check(
        learnt, by="repository", right=right, method="logistic", check=trials("eval")
    )
    assert found.to_dict() == {
        **written,
        "slope": pytest.approx(written["slope"], rel=1e-4),
        "intercept": pytest.approx(written["intercept"], rel=1e-4),
        "thresholds": pytest.approx(written["thresholds"], rel=1e-3),
    }
    assert f"`eval` clips of groups heard: {told(report)}" in card
    assert f"{right:.2f}: {told(halves(right, learnt))}" in card


@shipped
def test_the_share_is_the_least_that_mostly_keeps_the_promise_on_the_other_half():
    learnt, right = trials("held_back"), kept()["thresholds"]["right"]
    counts = [kept_in(share, learnt) for share in SHARES[: SHARES.index(right) + 1]]
    assert [count > HALVINGS / 2 for count in counts] == [*[False] * (len(counts) - 1), True]
    card = " ".join((FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8").split())
    told = "; ".join(f"{share} in {n}" for share, n in zip(SHARES, counts, strict=False))
    assert f"keep the promise on the other half ({told} of {HALVINGS})" in card


def test_nothing_held_back_was_trained_on():
    pages = pd.read_csv(RESULTS / "pages" / "clips.csv", dtype=str, keep_default_na=False)
    held = set(trials("held_back")["path"].str.split(":", n=1).str[1])
    assert held == set(pages[pages["split"] == "dev"]["path"])
