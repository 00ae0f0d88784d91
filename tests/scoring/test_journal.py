import gzip
import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from loradar.errors import InputError
from loradar.inference.model import Model
from loradar.scoring import journal
from loradar.scoring.journal import Clip, journal_of, score_files


class Loudness:
    """A detector of half-second windows whose scores depend on the batch, as rounding does."""

    window = 8_000

    def score_windows(self, batch):
        level = np.sqrt((batch**2).mean(axis=1))
        return level + 1e-6 * level.mean(), {}


MODEL = Model(Loudness(), None, "loudness")


@pytest.fixture
def clips(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "GROUP", 4)
    rng = np.random.default_rng(0)
    paths = []
    for number in range(11):
        paths.append(tmp_path / f"{number}.wav")
        count = 4_000 + 2_500 * (number * 7 % 11)
        sf.write(paths[-1], 0.1 * rng.standard_normal(count).astype("f4"), 16_000)
    paths[5].write_text("no audio")
    return [Clip(str(path), "spoof", "a, b", "c") for path in paths]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [1, 5, 8, 10])
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(clips, tmp_path, after):
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    assert score_files(MODEL, clips, whole, batch_size=3).before == 0

    def stop(count):
        if count == after:
            raise Killed

    with pytest.raises(Killed):
        score_files(MODEL, clips, out, batch_size=3, progress=stop)
    assert not out.exists()
    with journal_of(out).open("a") as file:
        file.write("half a ro")  # what a power cut may leave
    seen = []
    done = score_files(MODEL, clips, out, batch_size=3, progress=seen.append)
    assert done.before == seen[0] == (after - 1) // 4 * 4
    assert (done.files, done.errors) == (11, 1)
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(f"{n}.wav" for n in range(11)), "out.csv", "whole.csv"]
    )


def test_every_file_is_one_row_in_order_and_a_bad_one_says_why(clips, tmp_path):
    score_files(MODEL, clips, tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    assert list(table["path"]) == [clip.path for clip in clips]
    assert set(table["attack"]) == {"a, b"}
    assert list(table.index[table["verdict"] == "ERROR"]) == [5]
    assert "cannot be read as audio" in table["reason"][5]
    assert table["score"].drop(5).notna().all()
    score_files(MODEL, clips, tmp_path / "s.csv.gz")
    assert (
        gzip.decompress((tmp_path / "s.csv.gz").read_bytes()) == (tmp_path / "s.csv").read_bytes()
    )


@pytest.mark.parametrize("change", ["prior", "files", "fewer"])
def test_a_journal_of_another_run_is_refused_not_mixed(clips, tmp_path, change):
    out = tmp_path / "out.csv"

    def stop(count):
        if count == 6:
            raise Killed

    with pytest.raises(Killed):
        score_files(MODEL, clips, out, progress=stop)
    held = journal_of(out).read_bytes()
    given = {"prior": clips, "files": clips[::-1], "fewer": clips[:2]}[change]
    with pytest.raises(InputError, match="another -o") as caught:
        score_files(MODEL, given, out, prior=0.2 if change == "prior" else 0.5)
    assert change != "prior" or "(prior)" in str(caught.value)
    assert journal_of(out).read_bytes() == held
    assert json.loads(journal_of(out).with_name(".out.csv.part.json").read_text())["files"] == 4


def test_memory_stays_flat(clips, tmp_path):
    def peak(times):
        tracemalloc.start()
        score_files(MODEL, (clip for _ in range(times) for clip in clips), tmp_path / "m.csv")
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    peak(1)
    assert peak(8) < 1.3 * peak(2)
