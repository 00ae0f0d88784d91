import hashlib
import re

import numpy as np
import pandas as pd
import pytest
import yaml

from loradar.errors import InputError
from loradar.evaluation.det import eer_tie_safe
from loradar.evaluation.submission import Submission, scores_text, write_submission

SAID = {
    "name": "My system",
    "slug": "my-system",
    "dataset": "Org/Set",
    "revision": "abc1234",
    "model_repo": "me/detector",
    "date": "2026-01-02",
}


def _trials(size=60):
    rng = np.random.default_rng(0)
    real = np.arange(size) % 2 == 0
    return pd.DataFrame(
        {
            "path": [f"clips/u{i}.flac" for i in range(size)],
            "label": np.where(real, "bonafide", "spoof"),
            "score": rng.normal(size=size) + np.where(real, 1.0, -1.0),
        }
    )


def test_the_yaml_vouches_for_the_scores_that_were_written(tmp_path):
    trials = _trials()
    trials.loc[3, "score"] = np.nan
    scores, page = write_submission(tmp_path, trials, Submission(**SAID), "0.1")
    assert scores == tmp_path / ".eval_results/Org/Set/scores.txt"
    assert page == tmp_path / "submissions/my-system.yaml"
    lines = [line.split() for line in scores.read_text().splitlines()]
    assert lines[0][0] == "u0"
    assert "u3" not in {name for name, _ in lines}
    content = yaml.safe_load(page.read_text())
    artifact = content["artifact"]
    assert artifact["scores_sha256"] == hashlib.sha256(scores.read_bytes()).hexdigest()
    assert artifact["scores_url"].endswith("/COMMIT/.eval_results/Org/Set/scores.txt")
    pinned = artifact["scores_url"].replace("COMMIT", "0123abc")
    assert re.match(r"https://huggingface\.co/[^/]+/[^/]+/resolve/[0-9a-f]{7,40}/", pinned)
    # What the benchmark computes from the file is what the YAML says.
    label = {f"u{i}": row for i, row in enumerate(trials["label"])}
    parts = {
        kind: [float(value) for name, value in lines if label[name] == kind]
        for kind in ("bonafide", "spoof")
    }
    rate = eer_tie_safe(parts["bonafide"], parts["spoof"])
    assert content["scores"] == {
        "eer_percent": pytest.approx(100 * rate),
        "n_trials": 59,
        "n_skipped": 1,
    }
    assert set(content) == {
        *("schema_version", "system", "dataset", "scores", "artifact", "reproduction"),
        *("submitter", "submitted_at", "notes"),
    }
    assert content["schema_version"] == 4
    assert content["reproduction"] == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slug": "My System"}, "small letters"),
        ({"dataset": "Set"}, "data set 'Set' must be OWNER/NAME"),
        ({"dataset": "../Set"}, "data set '../Set' must be OWNER/NAME"),
        ({"model_repo": "a/b/c"}, "model 'a/b/c' must be OWNER/NAME"),
    ],
)
def test_malformed_names_are_refused_and_nothing_is_written(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_submission(tmp_path, _trials(), Submission(**(SAID | change)), "0.1")
    assert not list(tmp_path.iterdir())


def test_trials_must_be_told_apart_and_mostly_scored():
    trials = _trials(4)
    with pytest.raises(InputError, match="two trials are called u0"):
        scores_text(trials.assign(path=["a/u0.wav", "b/u0.wav", "c.wav", "d.wav"]))
    with pytest.raises(InputError, match="no blank"):
        scores_text(trials.assign(path=["a b.wav", "b.wav", "c.wav", "d.wav"]))


def test_too_many_left_out_is_refused(tmp_path):
    trials = _trials()
    trials.loc[:5, "score"] = np.nan
    with pytest.raises(InputError, match="6 of 60 trials have no score"):
        write_submission(tmp_path, trials, Submission(**SAID), "0.1")
