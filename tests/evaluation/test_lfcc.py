"""LFCC features, and the baseline that is built on them."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from loradar.errors import InputError
from loradar.evaluation.suites.baselines import lfcc_gmm
from loradar.evaluation.suites.lfcc import filter_bank, lfcc, slopes
from loradar.evaluation.suites.mini import GROUPS, mini_report


def _noise(seconds: float = 0.3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=int(16_000 * seconds))


def test_shape_and_the_shortest_clip():
    assert lfcc(_noise(1.0)).shape == (99, 60)
    assert lfcc([0.1]).shape == (1, 60)
    assert np.isfinite(lfcc(np.zeros(1000))).all()
    with pytest.raises(InputError, match=r"x\.flac: expected one channel"):
        lfcc(np.zeros((2, 100)), "x.flac")


def test_twenty_filters_share_the_band_evenly():
    bank = filter_bank()
    assert bank.shape == (257, 20)
    frequency = np.fft.rfftfreq(512, 1 / 16_000)
    assert bank[(frequency <= 80) | (frequency >= 7000)].sum() < 1e-12
    spacing = 6920 / 21
    centres = (frequency @ bank) / bank.sum(axis=0)
    np.testing.assert_allclose(centres, 80 + spacing * np.arange(1, 21), atol=6)
    # Neighbouring triangles add up to one between the first and the last centre.
    inner = (frequency > 80 + spacing) & (frequency < 7000 - spacing)
    np.testing.assert_allclose(bank[inner].sum(axis=1), 1, atol=1e-9)


def test_level_and_what_is_outside_the_band_do_not_matter():
    clip = _noise(0.5)
    middle = lfcc(clip)[10:-10]
    np.testing.assert_allclose(lfcc(0.1 * clip)[10:-10], middle, atol=1e-3)
    time = np.arange(clip.size) / 16_000
    more = clip + 0.5 + 0.5 * np.sin(2 * np.pi * 7500 * time)
    assert np.abs(lfcc(more)[10:-10] - middle).max() < 0.1


def test_slopes_are_those_of_a_line():
    line = np.arange(20)[:, None] * np.array([1.0, -2.5])
    np.testing.assert_allclose(slopes(line)[3:-3], np.tile([1.0, -2.5], (14, 1)), atol=1e-12)
    assert slopes(np.ones((1, 4))).tolist() == [[0, 0, 0, 0]]
    features = lfcc(_noise())
    np.testing.assert_allclose(features[:, 20:40], slopes(features[:, :20]))
    np.testing.assert_allclose(features[:, 40:], slopes(features[:, 20:40]))


def _clips() -> pd.DataFrame:
    rows = [
        {"group": group, "split": split, "path": f"{group}/{split}/{number}"}
        for group in ("human", *GROUPS)
        for split in ("train", "dev", "eval")
        for number in range(3)
    ]
    table = pd.DataFrame(rows)
    table["label"] = np.where(table["group"] == "human", "bonafide", "spoof")
    return table.assign(corpus="c", speaker="x", pair_id=table["path"], matched="yes")


def _read(path: str) -> np.ndarray:
    noise = _noise(0.2, seed=len(path) + ord(path[-1]))
    return noise if path.startswith("human") else np.cumsum(noise)


def test_the_baseline_tells_two_kinds_of_noise_apart():
    clips = _clips()
    scores = lfcc_gmm(clips, "A", _read, components=4)
    report = mini_report(clips.assign(score=scores), "A", resamples=0)
    assert report["matched"]["ood_average"]["eer"] == 0
    assert report["matched"]["id"]["eer"] == 0
    np.testing.assert_array_equal(scores, lfcc_gmm(clips, "A", _read, components=4))
    clips.loc[(clips["label"] == "spoof") & (clips["split"] == "train"), "label"] = "bonafide"
    with pytest.raises(InputError, match="needs frames"):
        lfcc_gmm(clips, "A", _read)


@pytest.mark.slow
def test_the_baseline_is_at_chance_on_real_matched_clips(shared):
    speech = shared / "speech"
    if not (speech / "labelled.csv").is_file():
        pytest.skip("the labelled speech is not here")
    clips = pd.read_csv(speech / "labelled.csv")
    scores = lfcc_gmm(clips, "A", lambda path: soundfile.read(speech / path, dtype="float32")[0])
    report = mini_report(clips.assign(score=scores), "A", resamples=0)
    assert report["matched"]["id"]["eer_tie_safe"] == pytest.approx(0.29, abs=0.04)
    assert report["matched"]["ood_average"]["eer_tie_safe"] == pytest.approx(0.51, abs=0.04)
    assert report["all"]["ood_average"]["eer_tie_safe"] < 0.45
