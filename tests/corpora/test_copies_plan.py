import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.corpora.copies.channels import CHANNELS, channel_effect, choose_channels
from loradar.corpora.copies.clips import fault, most_energetic
from loradar.corpora.copies.plan import bona_fide, clip_names, fill_splits, offers, plan
from loradar.corpora.copies.randomness import generator, rank
from loradar.corpora.manifest import Manifest
from loradar.corpora.voice import draw_speaker, speak
from loradar.errors import ConfigError, InputError
from loradar.vocoders.attacks import Attack

RATE = 16_000


def _attack(name: str, *needs: str) -> Attack:
    return Attack(
        name, name, "classical", lambda rng: {}, lambda s, o, r: s.samples, needs=frozenset(needs)
    )


def _table(clips: int, speakers: int, **columns: object) -> pd.DataFrame:
    rows = {
        "path": [f"/corpus/{i:03d}.wav" for i in range(clips)],
        "speaker": [f"s{i % speakers}" if speakers else "" for i in range(clips)],
        **columns,
    }
    return bona_fide(Manifest(pd.DataFrame(rows)), Path("/out"))


@given(
    clips=st.integers(1, 40),
    attacks=st.integers(1, 6),
    per_clip=st.integers(1, 8),
    seed=st.integers(0, 99),
)
def test_attacks_are_dealt_evenly(clips: int, attacks: int, per_clip: int, seed: int) -> None:
    table = _table(clips, 3)
    kinds = [_attack(f"a{i}") for i in range(attacks)]
    jobs = plan(table, kinds, per_clip=per_clip, channels=["", "mp3"], seed=seed)
    assert [job.path for job in jobs] == list(table["path"])
    used = [name for job in jobs for name in job.attacks]
    counts = [used.count(kind.name) for kind in kinds]
    assert sum(counts) == clips * min(per_clip, attacks)
    assert max(counts) - min(counts) <= 1
    for job in jobs:
        assert len(set(job.attacks)) == len(job.attacks)
        assert list(job.attacks) == sorted(job.attacks)
    linked = sum(job.channel == "mp3" for job in jobs)
    assert linked == clips // 2


def test_the_deal_hangs_on_seed_and_names_not_on_order() -> None:
    table = _table(30, 4, transcript=[f"text {i}" for i in range(30)])
    kinds = [_attack("a"), _attack("b", "other"), _attack("c", "transcript"), _attack("d")]
    jobs = plan(table, kinds, per_clip=2, channels=["", "mp3", "room"], seed=1)
    mixed = table.sample(frac=1.0, random_state=0)
    again = plan(mixed, kinds, per_clip=2, channels=["", "mp3", "room"], seed=1)
    assert sorted(again, key=lambda job: job.name) == jobs
    assert plan(table, kinds, per_clip=2, channels=[""], seed=2) != jobs


def test_the_other_voice_is_another_speaker_of_the_same_split() -> None:
    splits = ["train" if i % 4 < 2 else "dev" if i % 4 == 2 else "eval" for i in range(24)]
    table = _table(24, 4, split=splits)
    kinds = [_attack("plain"), _attack("conversion", "other")]
    jobs = plan(table, kinds, per_clip=9, channels=[], seed=0)
    speaker = dict(zip(table["path"], table["speaker"], strict=True))
    split = dict(zip(table["path"], table["split"], strict=True))
    for job in jobs:
        if split[job.path] == "train":
            assert job.attacks == ("plain", "conversion")
            assert 1 <= len(set(job.others)) == len(job.others) <= 3
        else:  # one speaker there: nobody to convert to
            assert job.attacks == ("plain",)
        for other in job.others:
            assert speaker[other] != speaker[job.path]
            assert split[other] == split[job.path]


def test_what_a_source_offers() -> None:
    assert offers(_table(4, 1)) == frozenset()
    assert offers(_table(4, 2)) == {"other"}
    assert offers(_table(4, 0)) == {"other"}  # nobody is named: every clip its own voice
    texts = ["", None, "hello", float("nan")]
    table = _table(4, 1, transcript=texts)
    assert offers(table) == {"transcript"}
    jobs = plan(table, [_attack("says", "transcript")], per_clip=1, channels=[], seed=0)
    assert [job.attacks for job in jobs] == [(), (), ("says",), ()]


def test_splits_keep_speakers_apart_and_leave_given_ones_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = _table(100, 20)
    with caplog.at_level(logging.INFO):
        fill_splits(table, 0)
    assert "drawn by speaker" in caplog.text
    speakers = table.groupby("split")["speaker"].agg(set)
    assert {name: len(found) for name, found in speakers.items()} == {
        "train": 16,
        "dev": 2,
        "eval": 2,
    }
    assert not set.intersection(*speakers)
    other = _table(100, 20)
    fill_splits(other, 1)
    assert list(other["split"]) != list(table["split"])
    given_ones = _table(4, 2, split=["eval", "", "", ""])
    fill_splits(given_ones, 0)
    assert list(given_ones["split"]) == ["eval", "", "", ""]
    nameless = _table(50, 0)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        fill_splits(nameless, 0)
    assert "by clip where no speaker is named" in caplog.text
    assert nameless["split"].value_counts().to_dict() == {"train": 40, "dev": 5, "eval": 5}


def test_spoofed_rows_and_earlier_copies_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    rows = pd.DataFrame(
        {
            "path": ["/c/a.wav", "/c/b.wav", "/c/d.wav", "/c/out/bonafide/a.flac"],
            "label": ["bonafide", "spoof", "", ""],
        }
    )
    with caplog.at_level(logging.INFO):
        table = bona_fide(Manifest(rows), Path("/c/out"))
    assert list(table["path"]) == ["/c/a.wav", "/c/d.wav"]
    assert "1 clips labelled spoof are left out" in caplog.text
    assert "1 clips have no label and count as bona fide" in caplog.text
    with pytest.raises(InputError, match="no bona fide clip"):
        bona_fide(Manifest(rows[rows["label"] == "spoof"]), Path("/c/out"))


@given(st.lists(st.from_regex(r"[aAb]{1,2}(/[ab]){0,2}\.(wav|mp3)", fullmatch=True), unique=True))
def test_clip_names_are_unique(paths: list[str]) -> None:
    if paths:
        names = clip_names([f"/c/{path}" for path in paths])
        assert len(set(names)) == len(paths)
        assert not any(name.startswith("/") or ".." in name for name in names)


def test_clip_names_are_as_short_as_can_be() -> None:
    assert clip_names(["/c/x/1.wav", "/c/y/1.wav", "/c/y/1.mp3"]) == [
        "x/1.wav",
        "y/1.wav",
        "y/1.mp3",
    ]
    assert clip_names(["/c/x/A.wav", "/c/y/a.wav"]) == ["x/A", "y/a"]
    assert clip_names(["/c/only.wav"]) == ["only"]


def test_names_leave_room_for_the_suffix_of_another_format() -> None:
    ends = (
        "a" * 251 + ".wav",
        "a" * 250 + "b.wav",
        "\u00e4" * 125 + ".wav",
        "x/" + "c" * 250 + ".wav",
    )
    names = clip_names([f"/c/{end}" for end in ends])
    assert len(set(names)) == 4
    assert all(len(name.rpartition("/")[2].encode()) <= 200 for name in names)
    assert names[0].startswith("a" * 191 + "-")
    assert clip_names(["/c/" + "a" * 200 + ".wav"]) == ["a" * 200]


def test_generators_hang_on_their_words() -> None:
    assert generator(1, "ab").random() == generator(1, "ab").random()
    assert len({rank(1, "ab"), rank(1, "a", "b"), rank("1a", "b"), rank(2, "ab")}) == 4


def test_channels_by_name() -> None:
    assert choose_channels(["none"]) == ([""], [])
    assert choose_channels(["none", "room", "room"])[0] == ["", "room"]
    every, lacking = choose_channels(["all"])
    assert len(every) + len(lacking) == len(CHANNELS)
    assert {"room", "noise", "telephone", "opus", "mp3"} <= set(every)
    assert "rawboost" not in every
    assert set(choose_channels(["codec"])[0]) < set(every)
    assert channel_effect("mp3").model_dump() == {"codecs": ("mp3",)}
    with pytest.raises(ConfigError, match="no channel 'radio'; there are noise"):
        choose_channels(["radio"])


def _speech() -> np.ndarray:
    rng = np.random.default_rng(0)
    samples = speak(draw_speaker(rng), 2.0, rng)
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32)


def test_what_holds_no_speech() -> None:
    rng = np.random.default_rng(0)
    speech = _speech()
    assert fault(speech) == ""
    assert fault(speech + 0.3) == ""  # an offset is no matter
    assert fault((0.01 * speech).astype(np.float32)) == ""
    assert "too short (0.31 s" in fault(speech[:5000])
    assert "silent" in fault(np.full(RATE, 0.3, np.float32))
    assert "silent" in fault((1e-5 * rng.standard_normal(RATE)).astype(np.float32))
    assert "never changes" in fault((0.1 * rng.standard_normal(2 * RATE)).astype(np.float32))
    assert "never changes" in fault(np.sin(np.arange(RATE) / 5).astype(np.float32))
    click = np.zeros(RATE, np.float32)
    click[8000] = 0.9
    assert "only 0.05 s are not silent" in fault(click)


@given(place=st.integers(0, 300), length=st.integers(1000, 20_000))
def test_the_most_energetic_part_holds_the_burst(place: int, length: int) -> None:
    samples = np.full(64_000, 0.01, np.float32)
    samples[place * 160 : place * 160 + 800] = 0.5
    part = most_energetic(samples, length)
    assert len(part) == length
    assert np.sum(part == np.float32(0.5)) == min(length, 800)
    assert most_energetic(samples, 64_000) is samples
