"""FakeAVCeleb, its audio: celebrity videos, some with a cloned voice."""

from __future__ import annotations

import csv
from pathlib import Path

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import ALL, SURVEY, About
from loradar.corpora.protocols.tree import first_there, manifest_of
from loradar.errors import InputError

ABOUT = About(
    name="fakeavceleb",
    title="FakeAVCeleb (audio)",
    paper="https://arxiv.org/abs/2108.05080",
    url="https://github.com/DASH-Lab/FakeAVCeleb (on request)",
    licence="on request, research only",
    clips="20,000 videos, 500 of them real; another count, of sounds, repeats included: 10,209 "
    "real, 11,335 fake",
    classes="bona fide: RealVideo-RealAudio; spoof: voices cloned by SV2TTS (RealVideo-FakeAudio, "
    "FakeVideo-FakeAudio)",
    layout="meta_data.csv (here or one folder below)\n"
    "{RealVideo,FakeVideo}-{RealAudio,FakeAudio}/RACE/GENDER/ID/*.mp4, or the sound alone under "
    "the same names (.wav, .flac, .mp3, .m4a), here, in FakeAVCeleb/ or in FakeAVCeleb-audio/",
    facts="github.com/piotrkawa/attack-agnostic-dataset, quotations of meta_data.csv in public "
    "loaders",
    figures=f"videos, access: its README.md; sounds: {SURVEY}",
    rules="meta_data.csv calls its ninth column path although it holds the file's name; the folder "
    "stands in the tenth, which has no name. FakeVideo-RealAudio repeats the sound of the real "
    "videos: it is in the subset all only. No official split.",
    subsets=("audio",),
    default="audio",
)
_KINDS = {
    "RealVideo-RealAudio": "bonafide",
    "RealVideo-FakeAudio": "spoof",
    "FakeVideo-FakeAudio": "spoof",
}
_REPEATS = "FakeVideo-RealAudio"
_SUFFIXES = (".mp4", ".wav", ".flac", ".mp3", ".m4a")
_COLUMNS = 10


def fakeavceleb(root: Path | str, subset: str | None = None) -> Manifest:
    """Read the list.

    Parameters
    ----------
    root : Path or str
        The folder with ``meta_data.csv``, or the one around it.
    subset : str, optional
        ``audio`` (where none is named): no clip whose sound repeats another's by construction;
        or ``all``.

    Returns
    -------
    Manifest
        No split. Free columns: ``type``, ``video_method``, ``race``, ``gender``. Whether the
        clips are there is not looked at, but for the first, which shows where they lie.

    Raises
    ------
    ConfigError
        There is no such subset.
    InputError
        The list is missing or malformed.
    """
    root = Path(root)
    chosen = ABOUT.choose(subset)
    meta = first_there([root / "meta_data.csv", *sorted(root.glob("*/meta_data.csv"))])
    kinds = _KINDS | ({_REPEATS: "bonafide"} if chosen == ALL else {})
    rows = []
    place: tuple[str, str] | None = None
    for number, line in _rows(meta) if meta else ():
        if len(line) < _COLUMNS:
            raise InputError(f"{meta}: row {number} has {len(line)} values, not {_COLUMNS}")
        source, _, _, method, _, kind, race, gender, name, folder = line[:_COLUMNS]
        if kind not in {*_KINDS, _REPEATS}:
            raise InputError(f"{meta}: row {number}: {kind!r} is no type of clip")
        if kind not in kinds:
            continue
        inner = f"{folder.partition('/')[2]}/{Path(name).stem}"
        if place is None and meta is not None:
            place = _place(meta.parent, inner)
        top, suffix = place or ("", "")
        label = kinds[kind]
        attack = "sv2tts" if label == "spoof" else ""
        path = f"{top}/{inner}{suffix}"
        rows.append((path, label, attack, source, kind, method, race, gender))
    return manifest_of(
        rows,
        ("path", "label", "attack", "speaker", "type", "video_method", "race", "gender"),
        corpus=ABOUT.name,
        source=Path(f"{root}:{chosen}"),
        hint="meta_data.csv is not there",
    )


def _rows(meta: Path) -> list[tuple[int, list[str]]]:
    try:
        with meta.open(newline="", encoding="utf-8-sig") as file:
            return list(enumerate(csv.reader(file), start=1))[1:]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{meta}: cannot be read: {error}") from None


def _place(base: Path, inner: str) -> tuple[str, str]:
    """Find where the clips lie and in which format, by one of them."""
    tops = (base, base / "FakeAVCeleb", base / "FakeAVCeleb-audio")
    for top in tops:
        for suffix in _SUFFIXES:
            if (top / f"{inner}{suffix}").is_file():
                return top.as_posix(), suffix
    return base.as_posix(), _SUFFIXES[0]
