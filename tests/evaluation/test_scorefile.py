import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.errors import InputError
from loradar.evaluation.scorefile import COLUMNS, join_manifest, read_scores, write_scores


def _file(folder: Path, text: str, name: str = "scores.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame(
        {
            "path": ['a "b", c.wav', "é.wav"],
            "score": [0.1 + 0.2, -1e-17],
            "llr": [1.5, np.nan],
            "reason": ["", "too_short"],
            "group": ["x", "y"],
        }
    )
    write_scores(tmp_path / name, table)
    back = read_scores(tmp_path / name)
    assert list(back.columns) == [*COLUMNS, "group"]
    for column in table:
        expected = table[column]
        pd.testing.assert_series_equal(back[column], expected, check_dtype=False)
    assert back["label"].tolist() == ["", ""]
    first = (tmp_path / name).read_bytes()
    write_scores(tmp_path / name, table)
    assert (tmp_path / name).read_bytes() == first


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_scores_survive_exactly(tmp_path_factory, scores: list[float]) -> None:
    path = tmp_path_factory.mktemp("scores") / "s.csv"
    table = pd.DataFrame({"path": [f"{index}.wav" for index in range(len(scores))]})
    write_scores(path, table.assign(score=scores))
    assert read_scores(path)["score"].tolist() == scores


def test_published_text_is_read_plain_or_gzipped(tmp_path: Path) -> None:
    text = "0.wav -4.5\n\n1.wav\t2\n"
    plain = read_scores(_file(tmp_path, text, "s.txt"))
    (tmp_path / "s.txt.gz").write_bytes(gzip.compress(text.encode()))
    pd.testing.assert_frame_equal(plain, read_scores(tmp_path / "s.txt.gz"))
    assert plain["score"].tolist() == [-4.5, 2.0]


def test_texts_of_the_challenges_are_read(tmp_path: Path) -> None:
    text = "LA_E_1 A11 spoof -4.5\nLA_E_2 - bonafide 2\n"
    of_2019 = read_scores(_file(tmp_path, text, "s.txt"))
    assert of_2019.to_dict("list") == {
        "path": ["LA_E_1", "LA_E_2"],
        "attack": ["A11", ""],
        "label": ["spoof", "bonafide"],
        "score": [-4.5, 2.0],
    }
    of_5 = read_scores(_file(tmp_path, "filename\tcm-score\nE_1\t-4.5\n", "s.tsv"))
    assert of_5.to_dict("list") == {"path": ["E_1"], "score": [-4.5]}
    labelled = read_scores(_file(tmp_path, "0.wav 0.2 fake\n1.wav 0.9 bona-fide\n", "w.txt"))
    assert labelled["label"].tolist() == ["spoof", "bonafide"]
    with pytest.raises(InputError, match="line 1, column score: 'A11'"):
        read_scores(_file(tmp_path, "E_1 A11 -4.5\n", "t.txt"))
    with pytest.raises(InputError, match="line 1: 5 cells, expected 2"):
        read_scores(_file(tmp_path, "E_1 A11 - spoof -4.5\n", "t.txt"))
    with pytest.raises(InputError, match="line 2, column label: 'who'"):
        read_scores(_file(tmp_path, "E_1 A11 spoof 1\nE_2 - who 2\n", "u.txt"))
    with pytest.raises(InputError, match="no trial below the header"):
        read_scores(_file(tmp_path, "filename\tcm-score\n", "v.tsv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("path,score\n", "no trial below the header"),
        ("path,value\na,1\n", "no column 'score' .found: path, value"),
        ("path,score,score\na,1,2\n", "'score' comes twice"),
        ("path,score\na,1\nb,high\n", "line 3, column score: 'high' is not a finite number"),
        ("path,score\na,inf\n", "line 2, column score: 'inf' is not"),
        ("path,score\na,nan\n", "line 2, column score: 'nan' is not"),
        ("path,score\na,1\n\nb,x\nc,y\n", r"line 4, column score: 'x' is not .* \(2 such rows\)"),
        ("path,score,llr\na,1,?\n", "line 2, column llr"),
        ("path,score,label\na,1,fake\n", "line 2, column label: 'fake' is neither"),
        ("path,score\na,1\na,2\n", "line 3, column path: 'a' comes twice"),
        ("path,score\n,1\n", "line 2, column path: '' is empty"),
        ("path,score\na,1,2\n", "line 2: 3 cells, expected 2"),
    ],
)
def test_complaints_name_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        read_scores(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such score file"):
        read_scores(tmp_path / "none.csv")
    for content, name in (
        (b"\xff\xfe\x00", "bytes.csv"),
        (b"not gzip", "broken.csv.gz"),
        (gzip.compress(b"path,score\n" * 99)[:-9], "cut.csv.gz"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot read the score file"):
            read_scores(tmp_path / name)
    with pytest.raises(InputError, match="no column 'score'"):
        write_scores(tmp_path / "x.csv", pd.DataFrame({"path": ["a"]}))


def _manifest(*paths: str) -> pd.DataFrame:
    labels = ["bonafide" if index % 2 else "spoof" for index in range(len(paths))]
    return pd.DataFrame({"path": paths, "label": labels, "group": "g"})


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("clips/a.wav", "clips/a.wav"),
        ("clips/a.wav", "{folder}/clips/a.wav"),
        ("{folder}/clips/a.wav", "clips/a.wav"),
        ("clips/../clips/a.wav", "./clips/a.wav"),
        ("clips/a.wav", "/elsewhere/a.wav"),
        ("flac/LA_E_1.flac", "LA_E_1"),
    ],
)
def test_paths_meet_in_all_their_forms(tmp_path: Path, wanted: str, given: str) -> None:
    paths = [text.format(folder=tmp_path) for text in (wanted, given)]
    scores = pd.DataFrame({"path": ["b.wav", paths[1]], "score": [1.0, 2.0]})
    table, extra = join_manifest(scores, _manifest(paths[0]), tmp_path)
    assert table["score"].tolist() == [2.0]
    assert extra == 1
    assert table["path"].tolist() == [paths[0]]


def test_the_exact_path_wins_over_the_file_name(tmp_path: Path) -> None:
    scores = pd.DataFrame({"path": ["x/a.wav", "y/a.wav"], "score": [1.0, 2.0]})
    table, extra = join_manifest(scores, _manifest("y/a.wav", "x/a.wav"), tmp_path)
    assert table["score"].tolist() == [2.0, 1.0]
    assert extra == 0


def test_unmatched_and_ambiguous_trials_are_counted_and_shown(tmp_path: Path) -> None:
    scores = pd.DataFrame({"path": ["p/a.wav", "q/a.wav"], "score": [1.0, 2.0]})
    with pytest.raises(InputError, match=r"2 of 2 trials .* \(first: x/a.wav"):
        join_manifest(scores, _manifest("x/a.wav", "b.wav"), tmp_path)


def test_manifest_describes_and_score_file_says(tmp_path: Path) -> None:
    scores = pd.DataFrame(
        {"path": ["a", "b"], "score": [1.0, 2.0], "label": ["spoof", "spoof"], "attack": ["", "A1"]}
    )
    manifest = pd.DataFrame({"path": ["a", "b"], "label": ["bonafide", ""], "score": [9.0, 9.0]})
    table, _ = join_manifest(scores, manifest, tmp_path)
    assert table["label"].tolist() == ["bonafide", "spoof"]
    assert table["score"].tolist() == [1.0, 2.0]
    assert table["attack"].tolist() == ["", "A1"]
