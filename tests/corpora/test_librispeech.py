from pathlib import Path

import pytest

from loradar.corpora import read_corpus
from loradar.errors import InputError


def _tree(root: Path) -> None:
    for subset, clips in {
        "test-clean": ["121-7-0000", "121-7-0001", "61-9-0000"],
        "dev-other": ["5-1-0000"],
    }.items():
        for clip in clips:
            speaker, chapter, _ = clip.split("-")
            folder = root / subset / speaker / chapter
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{clip}.flac").touch()
            if clip != "5-1-0000":
                with (folder / f"{speaker}-{chapter}.trans.txt").open("a") as file:
                    file.write(f"{clip} WORDS OF {clip[-1]}\n")
    (root / "SPEAKERS.TXT").write_text(
        ";ID  |SEX| SUBSET |MINUTES| NAME\n121  | F | test-clean | 8.1 | A\n61 | M | x | 1 | C\n"
    )


def test_librispeech(tmp_path: Path) -> None:
    _tree(tmp_path / "LibriSpeech")
    for root in (tmp_path, tmp_path / "LibriSpeech"):
        table = read_corpus("librispeech", root).table
        assert [Path(path).stem for path in table["path"]] == [
            "5-1-0000",
            "121-7-0000",
            "121-7-0001",
            "61-9-0000",
        ]
        assert list(table["subset"]) == ["dev-other", *["test-clean"] * 3]
        assert list(table["speaker"]) == ["5", "121", "121", "61"]
        assert list(table["transcript"]) == ["", "WORDS OF 0", "WORDS OF 1", "WORDS OF 0"]
        assert list(table["gender"]) == ["", "F", "F", "M"]
        assert set(table["label"]) == {"bonafide"}
        assert set(table["split"]) == {""}
        assert set(table["corpus"]) == {"librispeech"}
    one = read_corpus("librispeech", tmp_path / "LibriSpeech" / "test-clean").table
    assert set(one["subset"]) == {"test-clean"}
    assert list(one["gender"]) == ["F", "F", "M"]


def test_librispeech_complaints(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_corpus("librispeech", tmp_path / "none")
    with pytest.raises(InputError, match="no LibriSpeech corpus"):
        read_corpus("librispeech", tmp_path)
    _tree(tmp_path)
    text = tmp_path / "test-clean/61/9/61-9.trans.txt"
    text.write_text("61-9-0000 FINE\n61-9-0001\n")
    with pytest.raises(InputError, match=r"61-9\.trans\.txt: line 2 is not CLIP TEXT"):
        read_corpus("librispeech", tmp_path)
    text.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_corpus("librispeech", tmp_path)
    text.unlink()
    (tmp_path / "test-clean/61/9/62-9-0000.flac").touch()
    with pytest.raises(InputError, match="does not lie in SPEAKER/CHAPTER"):
        read_corpus("librispeech", tmp_path)
