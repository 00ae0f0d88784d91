import gzip
import shutil
from pathlib import Path

import pytest

from loradar.corpora import READERS, read_corpus
from loradar.errors import ConfigError, InputError


def test_asvspoof2019_at_full_size(shared: Path, tmp_path: Path) -> None:
    target = tmp_path / "LA" / "ASVspoof2019_LA_cm_protocols"
    target.mkdir(parents=True)
    for file in (shared / "fixtures" / "protocols").glob("*.gz"):
        shutil.copyfile(file, target / file.name)
    table = read_corpus("asvspoof2019_la", tmp_path).table
    assert table.groupby("split").size().to_dict() == {
        "train": 25_380,
        "dev": 24_844,
        "eval": 71_237,
    }
    human = table[table["label"] == "bonafide"]
    assert human.groupby("split").size().to_dict() == {"train": 2580, "dev": 2548, "eval": 7355}
    assert (human["attack"] == "").all()
    train = table[(table["split"] == "train") & (table["label"] == "spoof")]
    assert train.groupby("attack").size().to_dict() == {f"A0{i}": 3800 for i in range(1, 7)}
    evaluation = table[(table["split"] == "eval") & (table["label"] == "spoof")]
    assert sorted(evaluation["attack"].unique()) == [f"A{i:02d}" for i in range(7, 20)]
    first = table.iloc[0]
    assert first["path"] == str(tmp_path / "LA/ASVspoof2019_LA_train/flac/LA_T_1138215.flac")
    assert first["speaker"] == "LA_0079"


def _protocol(root: Path, text: str, *, packed: bool = False) -> None:
    folder = root / "ASVspoof2019_LA_cm_protocols"
    folder.mkdir(exist_ok=True)
    name = "ASVspoof2019.LA.cm.dev.trl.txt"
    if packed:
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / name).write_text(text)


@pytest.mark.parametrize("packed", [False, True])
def test_asvspoof2019_reads_what_is_there(tmp_path: Path, packed: bool) -> None:
    _protocol(tmp_path, "S1 C1 - - bonafide\nS2 C2 - A01 spoof\n", packed=packed)
    table = read_corpus("asvspoof2019_la", tmp_path).table
    assert table["attack"].tolist() == ["", "A01"]
    assert set(table["split"]) == {"dev"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("S1 C1 - - bonafide\nS2 C2 - spoof\n", "line 2 has 4 fields"),
        ("S1 C1 - - genuine\n", "line 1: the key 'genuine'"),
        ("", "holds no trials"),
    ],
)
def test_asvspoof2019_complaints(tmp_path: Path, text: str, part: str) -> None:
    _protocol(tmp_path, text)
    with pytest.raises(InputError, match=part):
        read_corpus("asvspoof2019_la", tmp_path)


def test_a_damaged_protocol_and_an_absent_corpus(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ASVspoof 2019 LA corpus"):
        read_corpus("asvspoof2019_la", tmp_path)
    _protocol(tmp_path, "S1 C1 - - bonafide\n" * 99, packed=True)
    file = next((tmp_path / "ASVspoof2019_LA_cm_protocols").iterdir())
    file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(InputError, match="protocol file"):
        read_corpus("asvspoof2019_la", tmp_path)


def test_in_the_wild(tmp_path: Path) -> None:
    (tmp_path / "meta.csv").write_text(
        'file,speaker,label\n0.wav,"Obama, Barack",spoof\n1.wav,Ann,bona-fide\n'
    )
    table = read_corpus("in_the_wild", tmp_path).table
    assert table["label"].tolist() == ["spoof", "bonafide"]
    assert table["attack"].tolist() == ["unknown", ""]
    assert table["speaker"].tolist() == ["Obama, Barack", "Ann"]
    assert table["path"].tolist() == [str(tmp_path / "0.wav"), str(tmp_path / "1.wav")]
    assert set(table["split"]) == {"eval"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("file,label\n0.wav,spoof\n", "needs the columns file, speaker, label"),
        ("file,speaker,label\n0.wav,A,spoof\n1.wav,A,real\n", "row 3, column label: 'real'"),
        ("file,speaker,label\n", "holds no rows"),
        ("file,speaker,label\n0.wav\n", "row 2, column label"),
    ],
)
def test_in_the_wild_complaints(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "meta.csv").write_text(text)
    with pytest.raises(InputError, match=part):
        read_corpus("in_the_wild", tmp_path)


def test_in_the_wild_without_meta(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"meta\.csv"):
        read_corpus("in_the_wild", tmp_path)


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_plain_folder(tmp_path: Path) -> None:
    for name in (
        "bonafide/a.WAV",
        "bonafide/deep/b.m4a",
        "bonafide/notes.txt",
        "bonafide/.hidden/c.wav",
        "spoof/hifigan/d.flac",
        "spoof/hifigan/more/e.mp3",
        "spoof/f.webm",
        "other/g.wav",
        "eval/spoof/lpc/h.opus",
    ):
        _touch(tmp_path / "corp" / name)
    table = read_corpus("folder", tmp_path / "corp").table
    found = {
        Path(row.path).name: (row.label, row.attack, row.split, row.corpus)
        for row in table.itertuples()
    }
    assert found == {
        "a.WAV": ("bonafide", "", "", "corp"),
        "b.m4a": ("bonafide", "", "", "corp"),
        "d.flac": ("spoof", "hifigan", "", "corp"),
        "e.mp3": ("spoof", "hifigan", "", "corp"),
        "f.webm": ("spoof", "unknown", "", "corp"),
        "h.opus": ("spoof", "lpc", "eval", "corp"),
    }


def test_plain_folder_without_clips(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_corpus("folder", tmp_path / "none")
    with pytest.raises(InputError, match="no audio"):
        read_corpus("folder", tmp_path)


def test_reader_names() -> None:
    with pytest.raises(ConfigError) as caught:
        read_corpus("asvspoof", "x")
    assert all(name in str(caught.value) for name in READERS)
