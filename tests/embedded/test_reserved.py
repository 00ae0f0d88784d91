"""What the card says of the reserved pages is what results/reserved holds."""

import json

import numpy as np
import pandas as pd
import pytest
from tests.embedded.folds import RESULTS
from tests.embedded.test_calibration import told

from loradar.embedded import DETECTOR, FOLDER, is_installed
from loradar.evaluation.det import eer_tie_safe
from loradar.evaluation.verdicts import Thresholds, check_verdicts

KINDS = {
    "voice conversion": "voice-conversion",
    "zero-shot TTS": "zero-shot-tts",
    "other TTS": "tts",
    "resynthesised recordings": "vocoder",
}
SCORES = ("score", "copies_score", "alone_score", "cnn_score")


@pytest.fixture(scope="module")
def clips():
    return pd.read_csv(RESULTS / "reserved" / "clips.csv", keep_default_na=False)


def rate(table, score):
    real = (table["label"] == "bonafide").to_numpy()
    values = table[score].to_numpy(np.float64)
    return 100 * float(eer_tie_safe(values[real], values[~real]))


def rows(clips):
    """The rows of the card's table."""
    real = clips["label"] == "bonafide"
    matched = clips["matched"] == "yes"
    parts = {"**all**": clips, "matched": clips[matched]}
    parts |= {name: clips[real | (clips["kind"] == kind)] for name, kind in KINDS.items()}
    parts["English"] = clips[clips["language"] == "en"]
    parts["other languages"] = clips[~clips["language"].isin(["en", ""])]
    for name, table in parts.items():
        spoofed = int((table["label"] == "spoof").sum())
        yield name, spoofed, [rate(table, score) for score in SCORES]
    pages = [clips[real | (clips["corpus"] == page)] for page in clips["corpus"].unique()]
    means = [float(np.mean([rate(page, score) for page in pages])) for score in SCORES]
    yield f"mean of the {len(pages)} pages", int((~real).sum()), means


def verdicts(clips, column="verdict"):
    """How often verdicts are right at equal priors, and how often none is given."""
    real = clips["label"] == "bonafide"
    share = {
        name: [float((clips[column][of] == name).mean()) for of in (real, ~real)]
        for name in ("BONAFIDE", "SPOOF", "UNCERTAIN")
    }
    right = {
        "BONAFIDE": share["BONAFIDE"][0] / sum(share["BONAFIDE"]),
        "SPOOF": share["SPOOF"][1] / sum(share["SPOOF"]),
    }
    words = [f"{name}: {100 * value:.1f} %" for name, value in right.items()]
    return f"{'; '.join(words)}; UNCERTAIN: {100 * np.mean(share['UNCERTAIN']):.0f} %"


@pytest.mark.skipif(not is_installed(DETECTOR), reason="no embedded weights in the tree")
def test_the_card_tells_what_was_measured(clips):
    card = (FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8")
    assert len(clips) == 1_719 and not clips["blob"].duplicated().any()
    section = card.split("## Voice conversion and cloning")[1].splitlines()
    for name, spoofed, rates in rows(clips):
        line = next(line for line in section if line.startswith(f"| {name} |"))
        cells = [cell.strip(" *").split(" ")[0].rstrip("*") for cell in line.split("|")[2:-1]]
        assert cells == [f"{spoofed:,}", *(f"{value:.1f}" for value in rates)], name
    real = clips["label"] == "bonafide"
    pages = [clips[real | (clips["corpus"] == page)] for page in clips["corpus"].unique()]
    least, *_, most, worst = sorted(rate(page, "score") for page in pages)
    assert f"from {least:.1f} to {most:.1f} %, and MaskGCT is at {worst:.1f}" in card
    kept = json.loads((FOLDER / DETECTOR / "calibration.json").read_text(encoding="utf-8"))
    by_score = check_verdicts(clips["llr"], real, Thresholds(**kept["thresholds"]))
    assert f"too poor for a verdict: {told({'verdicts': by_score})}" in " ".join(card.split())
    assert f"The reserved pages above: {verdicts(clips)}" in " ".join(card.split())


def test_no_clip_is_of_the_speech_that_was_trained_on(clips):
    known = clips[clips["known_speaker"] == "yes"]
    assert set(known["label"]) == {"bonafide"}
    without = rate(clips.drop(known.index), "score")
    card = (FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8")
    assert f"{len(known)} human clips are of speakers that were heard with other words" in card
    assert f"without these {without:.1f} %" in card
    assert not clips["repository"].isin(["hooria-malik/speech-preprocessing-librispeech"]).any()


def test_what_further_speech_did_there(clips):
    page = (RESULTS.parent / "docs" / "embedded.md").read_text(encoding="utf-8")
    rates = [rate(clips, score) for score in ("copies_score", "further_score")]
    assert f"| reserved pages | {rates[0]:.1f} | {rates[1]:.1f} |" in page


def test_further_speech_is_free_to_use_and_none_of_it_reserved(clips):
    table = pd.read_csv(RESULTS / "further_speech" / "clips.csv", keep_default_na=False)
    assert table["split"].value_counts().to_dict() == {"train": 1_488, "dev": 249}
    assert set(table["licence"]) == {"CC-BY-4.0", "CC0-1.0", "MIT"}
    assert set(table["label"]) == {"bonafide"} and not table["path"].duplicated().any()
    speakers = table.groupby("split")["speaker"].unique()
    assert not set(speakers["train"]) & set(speakers["dev"])
    assert not set(table["repository"]) & set(clips["repository"])
    assert not set(table["blob"]) & set(clips["blob"])
