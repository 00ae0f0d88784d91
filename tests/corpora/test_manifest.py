import gzip
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.corpora import Manifest, read_manifest, write_manifest
from loradar.errors import InputError

HEADER = "path,label,attack,speaker,split,corpus"


def _write(folder: Path, *lines: str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_paths_are_relative_to_the_manifest_and_columns_are_filled(tmp_path: Path) -> None:
    manifest = read_manifest(_write(tmp_path, "label,path", "bonafide,a.wav", "spoof,/x/../b.wav"))
    assert manifest.table["path"].tolist() == [str(tmp_path / "a.wav"), "/b.wav"]
    assert manifest.table["attack"].tolist() == ["", "unknown"]
    assert manifest.table["speaker"].tolist() == ["", ""]
    assert manifest.table.columns[:6].tolist() == HEADER.split(",")
    assert manifest.labels.tolist() == [1, 0]


def test_a_relative_manifest_path_gives_absolute_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, "path", "a.wav")
    monkeypatch.chdir(tmp_path)
    assert read_manifest("m.csv").table["path"].tolist() == [str(tmp_path / "a.wav")]


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (["a.wav,fake,,,,"], ["row 2, column label", "'fake'", "bonafide, spoof or empty"]),
        (["a.wav,,,,test,"], ["row 2, column split", "'test'", "train, dev, eval"]),
        ([",spoof,A1,,,"], ["row 2, column path", "empty"]),
        (["a.wav,,,,,", "", "./a.wav,,,,,"], ["row 4, column path", "earlier row"]),
        (["a.wav,bonafide,A1,,,"], ["row 2, column attack", "'A1'", "bonafide"]),
        (["a.wav,,,,,", "b.wav,,,"], ["row 3 has 4 values", "6 columns"]),
        (['"a.wav'], ["not a CSV file"]),
        ([f"{i}.wav,x,,,," for i in range(9)], ["row 6", "and 4 more"]),
        ([], ["holds no rows"]),
    ],
)
def test_complaints_name_row_column_and_reason(
    tmp_path: Path, lines: list[str], parts: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        read_manifest(_write(tmp_path, HEADER, *lines))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "m.csv")) and "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"file,label\na,b\n", "no column 'path'"),
        (b"path,path\na,b\n", "'path' occurs twice"),
        (b"path\n\xff\xfe.wav\n", "not UTF-8"),
    ],
)
def test_unusable_files(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=part):
        read_manifest(path)


def test_missing_folder_and_broken_parquet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such manifest"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_manifest(tmp_path)
    (tmp_path / "m.parquet").write_text("not parquet")
    with pytest.raises(InputError, match="Parquet"):
        read_manifest(tmp_path / "m.parquet")


def test_byte_order_mark_and_blank_lines_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(b"\xef\xbb\xbfpath,label\r\na.wav,bonafide\r\n\r\n")
    assert len(read_manifest(path)) == 1


def test_free_columns_keep_their_kind(tmp_path: Path) -> None:
    lines = ["path,pair,size,share,mixed", "a,007,3,0.25,1", "b,008,4,1e-3,x", "c,009,5,-2,"]
    table = read_manifest(_write(tmp_path, *lines)).table
    assert table["pair"].tolist() == ["007", "008", "009"]
    assert table["size"].tolist() == [3, 4, 5]
    assert table["share"].tolist() == [0.25, 1e-3, -2.0]
    assert table["mixed"].tolist() == ["1", "x", ""]


def _sample() -> Manifest:
    table = pd.DataFrame(
        {
            "path": ["a", "b", "c", "d"],
            "label": ["bonafide", "spoof", "spoof", ""],
            "attack": ["", "A1", "A2", ""],
            "split": ["train", "train", "eval", "eval"],
            "fold": [1, 2, 1, 2],
        }
    )
    return Manifest(table, source="sample")


def test_where_keeps_rows_that_meet_every_condition() -> None:
    names = _sample().where({"split": "train"}).table["label"]
    assert names.tolist() == ["bonafide", "spoof"]
    assert len(_sample().where({"fold": ["1"], "split": ["eval"]})) == 1
    assert len(_sample().where({"attack": ["", "A2"]})) == 3
    assert len(_sample().where({})) == 4


@pytest.mark.parametrize(
    ("conditions", "parts"),
    [
        ({"slit": "train"}, ["no column 'slit'", "split"]),
        ({"split": ["train", "dev"]}, ["never holds 'dev'", "'eval', 'train'"]),
        ({"split": "train", "attack": "A2"}, ["no clip has split = train and attack = A2"]),
    ],
)
def test_where_says_what_there_is(conditions: dict[str, str], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        _sample().where(conditions)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_written_manifest_reads_back_and_can_be_moved(tmp_path: Path, name: str) -> None:
    inside = Manifest(pd.DataFrame({"path": ["x/a.wav", "/far/b.wav"]}), folder=tmp_path / "one")
    write_manifest(inside, tmp_path / "one" / name)
    assert read_manifest(tmp_path / "one" / name).table.equals(inside.table)
    (tmp_path / "one").rename(tmp_path / "two")
    moved = read_manifest(tmp_path / "two" / name).table["path"].tolist()
    assert moved == [str(tmp_path / "two/x/a.wav"), "/far/b.wav"]
    assert [file.name for file in (tmp_path / "two").iterdir()] == [name]


def test_check_files_lists_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    manifest = Manifest(pd.DataFrame({"path": ["a", "b"]}), folder=tmp_path)
    assert manifest.check_files() == [str(tmp_path / "b")]


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\x1a"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_TEXT, _TEXT, st.sampled_from(["", "spoof"])), min_size=1, max_size=8))
def test_any_text_survives_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    table = pd.DataFrame(
        {
            "path": [f"{number}.wav" for number in range(len(rows))],
            "label": [row[2] for row in rows],
            "speaker": [row[0] for row in rows],
            "note": [f"t{row[1]}" for row in rows],
        }
    )
    manifest = Manifest(table, folder=folder)
    write_manifest(manifest, folder / "m.csv")
    assert read_manifest(folder / "m.csv").table.equals(manifest.table)


def test_where_finds_numbers_as_the_file_shows_them(tmp_path):
    manifest = read_manifest(_write(tmp_path, "path,num", "a.wav,1", "b.wav,2.5", "c.wav,1e-3"))
    for value, path in (("1", "a.wav"), ("1.0", "a.wav"), ("2.5", "b.wav"), ("0.001", "c.wav")):
        found = manifest.where({"num": value})
        assert [Path(p).name for p in found.table["path"]] == [path]
    with pytest.raises(InputError, match="never holds '3'"):
        manifest.where({"num": "3"})


def test_a_gzipped_manifest(tmp_path):
    data = gzip.compress(b"path,label\na.wav,spoof\n")
    (tmp_path / "m.csv.gz").write_bytes(data)
    assert read_manifest(tmp_path / "m.csv.gz").table["attack"].tolist() == ["unknown"]
    for cut in (data[:-9], b"path,label\n"):
        (tmp_path / "m.csv.gz").write_bytes(cut)
        with pytest.raises(InputError, match=r"m.csv.gz: cannot be read"):
            read_manifest(tmp_path / "m.csv.gz")
