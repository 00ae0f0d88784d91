import numpy as np
import pandas as pd
import pytest

from loradar.errors import InputError
from loradar.evaluation import fitting
from loradar.evaluation.fitting import fit_and_check, halves


def _trials(clips=400, speakers=20, shift=2.0, seed=0):
    rng = np.random.default_rng(seed)
    real = rng.random(clips) < 0.5
    return pd.DataFrame(
        {
            "path": [f"{i}.flac" for i in range(clips)],
            "label": np.where(real, "bonafide", "spoof"),
            "speaker": [f"s{i}" for i in rng.integers(speakers, size=clips)],
            "score": rng.normal(0, 1, clips) + np.where(real, shift, -shift),
        }
    )


def test_halves_depend_on_names_alone():
    names = pd.Series([f"s{i % 7}" for i in range(50)])
    first = halves(names)
    assert names[first].nunique() == 4
    assert not set(names[first]) & set(names[~first])
    shuffled = names.sample(frac=1, random_state=1)
    assert set(shuffled[halves(shuffled)]) == set(names[first])


def test_no_speaker_is_on_both_sides(monkeypatch):
    seen = []
    original = fitting.fit

    def spy(scores, labels, *more):
        seen.append(scores)
        return original(scores, labels, *more)

    monkeypatch.setattr(fitting, "fit", spy)
    trials = _trials()
    calibration, report = fit_and_check(trials)
    fitted = trials[trials["score"].isin(seen[0])]
    checked = trials[~trials["score"].isin(seen[0])]
    assert not set(fitted["speaker"]) & set(checked["speaker"])
    assert report["fitted"]["bonafide"] == (fitted["label"] == "bonafide").sum()
    assert report["checked"]["spoof"] == (checked["label"] == "spoof").sum()
    assert calibration.thresholds is not None
    assert report["verdicts"]["bonafide"]["right"] > 0.85
    assert 0 < report["cllr"] < 0.5


def test_spoofs_without_a_speaker_and_unscored_clips_do_no_harm():
    trials = _trials()
    trials.loc[trials["label"] == "spoof", "speaker"] = ""
    trials.loc[:5, "score"] = np.nan
    trials.loc[6:9, "label"] = ""
    _, report = fit_and_check(trials)
    counted = sum(report[half][name] for half in ("fitted", "checked") for name in report[half])
    assert counted == 390
    assert abs(report["fitted"]["spoof"] - report["checked"]["spoof"]) <= 1


def test_what_cannot_be_halved_is_said():
    with pytest.raises(InputError, match="no column 'speaker'"):
        fit_and_check(_trials().drop(columns="speaker"))
    one = _trials(speakers=1)
    with pytest.raises(InputError, match="lacks a class"):
        fit_and_check(one)
