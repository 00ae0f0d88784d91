"""The ADD challenges of 2022 and 2023: Mandarin, with low quality and fake-game tracks."""

from __future__ import annotations

import re
from pathlib import Path

from loradar.corpora.manifest import UNKNOWN_ATTACK, Manifest
from loradar.corpora.protocols.about import ALL, SURVEY, About
from loradar.corpora.protocols.tree import clips_below, manifest_of, text_lines
from loradar.errors import InputError

_FACTS = (
    "cards of huggingface.co/SpeechAntiSpoofingBenchmarks (labels only), "
    "github.com/nii-yamagishilab/AntiDeepfake (protocols/ADD2023.py), paths in public loaders"
)
_RULES = (
    "The clip's name says its part, wherever it lies; label lists are all *label*.txt files. "
    "Clips without a line in one are left out, lines without a clip are kept (corpus check tells)."
)
ADD_2022 = About(
    name="add2022",
    title="ADD 2022",
    paper="https://arxiv.org/abs/2202.08433",
    url="https://zenodo.org/records/12188127 (train, dev), 12188083 (adaptation), 10843991 "
    "(track 1), 12187997 (track 2), 12188035 and 12188055 (track 3.2, rounds 1 and 2)",
    licence="CC BY-NC-ND 4.0",
    clips="genuine and fake, parts not named: track 1 5,619 and 46,067, track 2 5,319 and 46,419, "
    "track 3 5,319 and 46,206",
    classes="genuine and fake Mandarin; attacks are not named",
    layout="ADD_train_dev/{train,dev}/ADD_{T,D}_*.wav and label/{train,dev}_label.txt\n"
    "track1test/ADD_E1_*.wav, track3test/ADD_E3_*.wav and their label lists (CLIP genuine|fake)",
    facts=_FACTS,
    figures=f"addresses: arXiv 2202.08433v3; counts: {SURVEY}; licence: "
    "huggingface.co/datasets/SpeechAntiSpoofingBenchmarks/ADD22_eval_31",
    rules=_RULES + " Track 1: noise and music; track 3: the fake game. Track 2 (partly fake, "
    "ADD_E2_*) is read where its list has the same form.",
    subsets=("track1", "track2", "track3"),
    default=ALL,
)
ADD_2023 = About(
    name="add2023",
    title="ADD 2023, track 1.2",
    paper="https://arxiv.org/abs/2305.13774",
    url="http://addchallenge.cn/downloadADD2023",
    licence="CC BY-NC-ND 4.0",
    clips="172,819 genuine, 113,042 fake, parts not named",
    classes="genuine and fake Mandarin; attacks are not named",
    layout="Track1.2/{train,dev}/wav/ADD2023_T1.2_{T,D}_*.wav and label.txt\n"
    "Track1.2/{testR1,testR2}/wav/ADD2023_T1.2{R1,R2}_E_*.wav and label.txt",
    facts=_FACTS,
    figures=f"counts: {SURVEY}; licence: huggingface.co/datasets/SpeechAntiSpoofingBenchmarks/"
    "ADD2023_track12_test_r1",
    rules=_RULES + " The two rounds are reported apart. Tracks 2 (segments) and 3 (which system) "
    "are other tasks and are not read.",
    subsets=("round1", "round2"),
    default=ALL,
)
_NAME_2022 = re.compile(r"ADD_(?P<part>T|D|E(?P<number>\d))_\d+")
_NAME_2023 = re.compile(r"ADD2023_T1\.2(?:R(?P<number>\d))?_(?P<part>T|D|E)_\d+")
_LABELS = {"genuine": "bonafide", "bonafide": "bonafide", "fake": "spoof", "spoof": "spoof"}


def add2022(root: Path | str, subset: str | None = None) -> Manifest:
    """Read ADD 2022.

    Parameters
    ----------
    root : Path or str
        The folder that holds the unpacked parts.
    subset : str, optional
        ``track1``, ``track2``, ``track3``: the evaluation clips of one track, beside train and
        dev; ``all`` where none is named.

    Returns
    -------
    Manifest
        Free column ``subset``: the track, for evaluation clips.

    Raises
    ------
    ConfigError
        There is no such subset.
    InputError
        No label list is there, or one is malformed.
    """
    return _read(Path(root), ADD_2022, _NAME_2022, "track", subset)


def add2023(root: Path | str, subset: str | None = None) -> Manifest:
    """Read track 1.2 of ADD 2023; see `add2022`.

    Parameters
    ----------
    root : Path or str
        The folder that holds ``Track1.2/``, or that folder.
    subset : str, optional
        ``round1``, ``round2`` or ``all`` (where none is named).
    """
    return _read(Path(root), ADD_2023, _NAME_2023, "round", subset)


def _read(
    root: Path, about: About, form: re.Pattern[str], kind: str, subset: str | None
) -> Manifest:
    chosen = about.choose(subset)
    lists = sorted(path for path in root.rglob("*.txt") if "label" in path.stem.lower())
    places: dict[str, str] = {}
    for clip in clips_below(root) if lists else ():
        places.setdefault(Path(clip).stem, clip)
    rows = []
    for path in lists:
        for number, line in text_lines(path):
            clip, label, *_ = [*line.split(), ""]
            match = form.fullmatch(clip.removesuffix(".wav"))
            if match is None:
                continue  # the list of another track
            if label not in _LABELS:
                raise InputError(f"{path}: line {number}: {label!r} is not genuine or fake")
            split = {"T": "train", "D": "dev"}.get(match["part"], "eval")
            part = f"{kind}{match['number']}" if split == "eval" else ""
            if split == "eval" and chosen not in (ALL, part):
                continue
            stem = clip.removesuffix(".wav")
            where = places.get(stem, f"{path.parent.relative_to(root).as_posix()}/wav/{stem}.wav")
            name = _LABELS[label]
            attack = UNKNOWN_ATTACK if name == "spoof" else ""
            rows.append((f"{root.as_posix()}/{where}", name, attack, split, part))
    return manifest_of(
        rows,
        ("path", "label", "attack", "split", "subset"),
        corpus=about.name,
        source=Path(f"{root}:{chosen}"),
        hint=f"no label list names a clip such as {form.pattern.split('(')[0]}...",
    )
