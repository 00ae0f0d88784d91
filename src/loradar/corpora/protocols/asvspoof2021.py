"""ASVspoof 2021, logical access and deepfake: one list of trials each, and three subsets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import ALL, SURVEY, About
from loradar.corpora.protocols.tree import clips_below, fields, first_there, manifest_of
from loradar.errors import InputError

SUBSETS = ("progress", "eval", "hidden")
_KEYS = "trial_metadata.txt"
# The official evaluation package names the fields so.
_FIELDS = {
    "LA": ("speaker", "clip", "codec", "transmission", "attack", "label", "trim", "subset"),
    "DF": (
        *("speaker", "clip", "compression", "source", "attack", "label", "trim", "subset"),
        *("vocoder", "task", "team", "gender_pair", "language"),
    ),
}
_RULES = (
    "Report on the subset eval, as the organisers do: progress was open for tuning during the "
    "challenge, hidden holds other conditions (trimmed silences). Scoring all trials at once is "
    "another task with other figures. Every clip has the split eval: there is no training part, "
    "one trains on ASVspoof 2019 LA."
)
_FACTS = "github.com/asvspoof-challenge/2021, eval-package (README.md, config.py)"

LA = About(
    name="asvspoof2021_la",
    title="ASVspoof 2021 LA",
    paper="https://arxiv.org/abs/2109.00537",
    url="https://zenodo.org/records/4837263; keys: "
    "https://www.asvspoof.org/asvspoof2021/LA-keys-full.tar.gz",
    licence="ODC-By 1.0",
    clips="181,566 trials, 148,176 of them in the subset eval",
    classes="bona fide: VCTK speech over telephone and VoIP codecs; spoof: attacks A07 to A19 over "
    "the same",
    layout="ASVspoof2021_LA_eval/flac/*.flac\nkeys/LA/CM/trial_metadata.txt",
    facts=_FACTS,
    size="7.7 GB (second-hand)",
    figures=f"18,452 bona fide and 163,114 spoof in all: {SURVEY}; subset: result tables in public "
    "repositories; licence: huggingface.co/datasets/SpeechAntiSpoofingBenchmarks/ASVspoof2021_LA",
    rules=_RULES + " Conditions: codec (none, alaw, ulaw, pstn, g722, gsm, opus), transmission.",
    subsets=SUBSETS,
    default="eval",
)
DF = About(
    name="asvspoof2021_df",
    title="ASVspoof 2021 DF",
    paper="https://arxiv.org/abs/2109.00537",
    url="https://zenodo.org/records/4835108; keys: "
    "https://www.asvspoof.org/asvspoof2021/DF-keys-full.tar.gz",
    licence="ODC-By 1.0",
    clips="611,829 trials, 533,928 of them in the subset eval",
    classes="bona fide: VCTK and Voice Conversion Challenge speech through media codecs; spoof: "
    "over 100 systems through the same",
    layout="ASVspoof2021_DF_eval/flac/*.flac (its four parts unpacked in one place, or each in "
    "ASVspoof2021_DF_eval_partNN/)\nkeys/DF/CM/trial_metadata.txt",
    facts=_FACTS,
    size="34.5 GB in four parts (second-hand)",
    figures=f"subset (14,869 bona fide, 519,059 spoof): {SURVEY}; all trials: result tables in "
    "public repositories; licence: as of LA, not checked",
    rules=_RULES + " Conditions: compression (nocodec, low_mp3, high_mp3, low_m4a, high_m4a, "
    "low_ogg, high_ogg, mp3m4a, oggm4a), vocoder (class of the generator), source.",
    subsets=SUBSETS,
    default="eval",
)


def asvspoof2021_la(root: Path | str, subset: str | None = None) -> Manifest:
    """Read the logical access trials.

    Parameters
    ----------
    root : Path or str
        The folder with ``ASVspoof2021_LA_eval/`` and ``keys/``, or the former with the keys in it.
    subset : str, optional
        ``progress``, ``eval`` (where none is named), ``hidden`` or ``all``.

    Returns
    -------
    Manifest
        Split ``eval``. Free columns: ``subset``, ``codec``, ``transmission``, ``trim``. Whether
        the audio is there is not looked at.

    Raises
    ------
    ConfigError
        There is no such subset.
    InputError
        The keys are missing or malformed.
    """
    return _read(Path(root), "LA", LA, subset)


def asvspoof2021_df(root: Path | str, subset: str | None = None) -> Manifest:
    """Read the deepfake trials; see `asvspoof2021_la`.

    Returns
    -------
    Manifest
        Free columns: ``subset``, ``compression``, ``vocoder``, ``source``, ``trim``, ``task``,
        ``team``, ``gender_pair``, ``language``.
    """
    return _read(Path(root), "DF", DF, subset)


def _read(root: Path, track: str, about: About, subset: str | None) -> Manifest:
    chosen = about.choose(subset)
    keys = _find_keys(root, track)
    if keys is None:
        raise InputError(
            f"{root}: no {about.name} keys: keys/{track}/CM/{_KEYS} is not there; unpack "
            f"{track}-keys-full.tar.gz ({about.url.rpartition(' ')[2]}) beside the audio"
        )
    names = _FIELDS[track]
    free = [name for name in names if name not in ("speaker", "clip", "attack", "label")]
    rows = []
    for number, field in fields(keys, names):
        if field["label"] not in ("bonafide", "spoof") or field["subset"] not in SUBSETS:
            raise InputError(
                f"{keys}: line {number}: expected bonafide or spoof and one of "
                f"{', '.join(SUBSETS)}, found {field['label']!r} and {field['subset']!r}"
            )
        if chosen not in (ALL, field["subset"]):
            continue
        spoof = field["label"] == "spoof"
        more = ["" if field[name] in ("-", "bonafide") else field[name] for name in free]
        attack = field["attack"] if spoof else ""
        rows.append((field["clip"], field["label"], attack, field["speaker"], "eval", *more))
    folders = _audio_folders(root, track)
    paths = _locate([row[0] for row in rows], folders)
    located = [(path, *row[1:]) for path, row in zip(paths, rows, strict=True)]
    return manifest_of(
        located,
        ("path", "label", "attack", "speaker", "split", *free),
        corpus=about.name,
        source=Path(f"{root}:{chosen}"),
        hint=f"{keys} holds no trial of the subset {chosen}",
    )


def _find_keys(root: Path, track: str) -> Path | None:
    inside = [Path("keys", track, "CM"), Path("keys", "CM"), Path(track, "CM"), Path("CM"), Path()]
    bases = (root, root / f"ASVspoof2021_{track}_eval", root / f"{track}-keys-full", root.parent)
    return first_there(base / place / _KEYS for base in bases for place in inside)


def _audio_folders(root: Path, track: str) -> list[Path]:
    name = f"ASVspoof2021_{track}_eval"
    parts = sorted(root.glob(f"{name}_part*/{name}/flac"))
    return [
        *(place for place in (root / name / "flac", root / "flac") if place.is_dir()),
        *parts,
    ] or [root / name / "flac"]


def _locate(clips: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Return each clip's path: in the folder that holds it, else in the first."""
    prefixes = [folder.as_posix() for folder in folders]
    if len(prefixes) == 1:
        return [f"{prefixes[0]}/{clip}.flac" for clip in clips]
    holder = {
        name: prefix
        for folder, prefix in zip(folders, prefixes, strict=True)
        for name in clips_below(folder)
    }
    return [f"{holder.get(clip + '.flac', prefixes[0])}/{clip}.flac" for clip in clips]
