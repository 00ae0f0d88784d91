"""The demo pages that are trained and chosen on (results/pages) hold nothing that is tested on."""

import pandas as pd
import pytest
from tests.embedded.folds import RESULTS

from loradar.evaluation.suites.mini import ood_groups

GROUPS = {*ood_groups("A"), *ood_groups("B"), "other"}
# Reserved for evaluation, or of two classes in a corpus that is (../shared/README.md).
RESERVED = ("vctk", "arctic", "emodb", "zerospeech", "picovoice/wake-word", "korean-read-speech")


@pytest.fixture(scope="module")
def pages():
    return pd.read_csv(RESULTS / "pages" / "clips.csv", dtype=str, keep_default_na=False)


def test_each_clip_is_named_once_and_told_what_it_is(pages):
    assert not pages["path"].duplicated().any() and not pages["blob"].duplicated().any()
    assert set(pages["split"]) == {"train", "dev"}
    spoofed = pages[pages["label"] == "spoof"]
    assert set(spoofed["group"]) == GROUPS and (spoofed["attack"] != "").all()
    real = pages[pages["label"] == "bonafide"]
    assert set(real["group"]) == {""}
    assert (pages["licence"] != "").all()


def test_no_page_is_on_both_sides(pages):
    sides = pages.groupby("split")[["repository", "corpus"]].agg(set)
    assert not sides.loc["train", "repository"] & sides.loc["dev", "repository"]
    assert not sides.loc["train", "corpus"] & sides.loc["dev", "corpus"]
    sentences = pages[pages["pair_id"] != ""].groupby("split")["pair_id"].agg(set)
    assert not sentences["train"] & sentences["dev"]


def test_no_clip_is_reserved(pages):
    reserved = pd.read_csv(RESULTS / "reserved" / "clips.csv", dtype=str, keep_default_na=False)
    assert not set(pages["repository"]) & set(reserved["repository"])
    assert not set(pages["blob"]) & set(reserved["blob"])
    told = (pages["repository"] + " " + pages["text_corpus"] + " " + pages["speaker"]).str.lower()
    for name in RESERVED:
        assert not told.str.contains(name).any(), name
