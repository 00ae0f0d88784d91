import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from loradar.audio import load_audio
from loradar.corpora import Manifest, make_sandbox, read_corpus, read_manifest
from loradar.corpora.sandbox import ID_ATTACKS, OOD_ATTACKS
from loradar.errors import ConfigError, InputError
from loradar.vocoders import VOCODERS

SMALL = {"speakers": 6, "clips_per_speaker": 3, "seconds": (0.5, 0.7), "workers": 1}


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sandbox")
    make_sandbox(folder, **SMALL)  # type: ignore[arg-type]
    return folder


@pytest.fixture
def manifest(corpus: Path) -> Manifest:
    return read_manifest(corpus / "manifest.csv")


def test_splits_speakers_and_folds(manifest: Manifest) -> None:
    table = manifest.table
    assert len(table) == 9 * 3 + 3 * 3 + 6 * 4
    speakers = table.groupby("split")["speaker"].agg(set)
    assert {split: len(names) for split, names in speakers.items()} == {
        "train": 3,
        "dev": 1,
        "eval": 2,
    }
    assert len(set.union(*speakers)) == 6
    attacks = table[table["label"] == "spoof"].groupby("split")["attack"].agg(set)
    assert attacks["train"] == set(ID_ATTACKS)
    assert attacks["eval"] == {*ID_ATTACKS, *OOD_ATTACKS} == set(VOCODERS)
    assert set(table.loc[table["fold"] == "ood", "split"]) == {"eval"}
    assert set(table.loc[table["fold"] == "ood", "attack"]) == set(OOD_ATTACKS)
    assert (table.loc[table["label"] == "bonafide", "fold"] == "id").all()


def test_every_copy_has_its_source(manifest: Manifest) -> None:
    table = manifest.table
    human = table[table["label"] == "bonafide"].set_index("pair_id")
    assert human.index.is_unique
    for copy in table[table["label"] == "spoof"].itertuples():
        source = human.loc[copy.pair_id]
        assert (source.speaker, source.split) == (copy.speaker, copy.split)
        assert source.seconds == copy.seconds
        assert not np.array_equal(load_audio(source.path), load_audio(copy.path))


def test_files_are_as_the_manifest_says(corpus: Path, manifest: Manifest) -> None:
    assert manifest.check_files() == []
    for row in manifest.table.itertuples():
        info = soundfile.info(row.path)
        assert (info.format, info.subtype, info.samplerate, info.channels) == (
            "FLAC",
            "PCM_16",
            16_000,
            1,
        )
        assert info.duration == pytest.approx(row.seconds, abs=1e-3)
        samples = load_audio(row.path)
        assert 0.01 < np.abs(samples).max() < 1.0
        assert abs(samples.mean()) < 0.01 * samples.std() + 1e-4
    assert len(list(corpus.rglob("*.flac"))) == len(manifest)
    assert len(read_corpus("folder", corpus)) == len(manifest)


def test_both_classes_are_equally_loud(manifest: Manifest) -> None:
    level = np.array([np.log(load_audio(path).std()) for path in manifest.table["path"]])
    human = manifest.labels == 1
    assert abs(level[human].mean() - level[~human].mean()) < 0.5 * level.std()


def test_the_readme_says_it_proves_nothing(corpus: Path) -> None:
    text = (corpus / "README.md").read_text()
    assert "synthetic" in text and "never quote a number" in text


def test_equal_seeds_give_equal_files(corpus: Path, tmp_path: Path) -> None:
    make_sandbox(tmp_path / "same", **SMALL)  # type: ignore[arg-type]
    assert _digests(tmp_path / "same") == _digests(corpus)
    make_sandbox(tmp_path / "same", **SMALL)  # type: ignore[arg-type]
    assert _digests(tmp_path / "same") == _digests(corpus)
    make_sandbox(tmp_path / "other", **{**SMALL, "seed": 1})  # type: ignore[arg-type]
    other = _digests(tmp_path / "other")
    assert not set(other.values()) & set(_digests(corpus).values())


def test_processes_change_nothing(tmp_path: Path) -> None:
    sizes = {"speakers": 4, "clips_per_speaker": 6, "seconds": (0.5, 0.5)}
    seen: list[tuple[int, int]] = []
    make_sandbox(tmp_path / "one", **sizes, workers=1)  # type: ignore[arg-type]
    make_sandbox(
        tmp_path / "two",
        **sizes,  # type: ignore[arg-type]
        workers=2,
        progress=lambda done, total, _: seen.append((done, total)),
    )
    assert _digests(tmp_path / "one") == _digests(tmp_path / "two")
    assert seen == [(done, 24) for done in range(1, 25)]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"speakers": 3}, "3 speakers"),
        ({"clips_per_speaker": 0}, "0 clips"),
        ({"seconds": (2.0, 1.0)}, "2.0 to 1.0 s"),
        ({"seconds": (0.0, 1.0)}, "range in 0.5 to 60"),
    ],
)
def test_wrong_sizes(tmp_path: Path, wrong: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        make_sandbox(tmp_path, **wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_other_peoples_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Mine\n")
    with pytest.raises(InputError, match="holds other files"):
        make_sandbox(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        make_sandbox(tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == "# Mine\n"
