"""PartialSpoof: synthetic segments spliced into real utterances."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import SPLITS, Manifest
from loradar.corpora.protocols.about import SURVEY, About
from loradar.corpora.protocols.tree import fields, manifest_of, text_lines
from loradar.errors import InputError

ABOUT = About(
    name="partial_spoof",
    title="PartialSpoof",
    paper="https://arxiv.org/abs/2204.05177",
    url="https://zenodo.org/records/5766198",
    licence="see its page",
    clips="25,380 train, 24,844 dev, 71,237 eval",
    classes="bona fide: as in ASVspoof 2019 LA; spoof: utterances of which some segments are",
    layout="train/con_wav/*.wav, dev/..., eval/... (here or in database/)\n"
    "protocols/PartialSpoof_LA_cm_protocols/PartialSpoof.LA.cm.{train,dev,eval}.trl.txt\n"
    "{train,dev,eval}/con_data/rttm_2cls_0sil_spoof (where segments are wanted)",
    facts="github.com/nii-yamagishilab/PartialSpoof (README.md, metric/)",
    size="some 10 GB (second-hand)",
    figures=f"12,483 bona fide and 108,978 spoof in all: {SURVEY}; licence: not checked",
    rules="One label an utterance: spoof where any segment is. The segments are read from the "
    "RTTM files; segment_labels/*.npy are pickles and are never opened.",
)
_FIELDS = ("speaker", "clip", "unused", "attack", "key")


def partial_spoof(root: Path | str) -> Manifest:
    """Read the lists, and the spoofed segments where they are there.

    Parameters
    ----------
    root : Path or str
        The folder ``database`` or the one around it.

    Returns
    -------
    Manifest
        The splits whose list is there; the attack is ``CON``. Free column ``spoof_segments``:
        ``START-END`` in seconds, parted by spaces. Whether the audio is there is not looked at.

    Raises
    ------
    InputError
        No list is there, or a file is malformed.
    """
    root = Path(root)
    base = root / "database" if (root / "database" / "protocols").is_dir() else root
    lists = base / "protocols" / "PartialSpoof_LA_cm_protocols"
    rows = []
    for split in SPLITS:
        path = lists / f"PartialSpoof.LA.cm.{split}.trl.txt"
        if not path.is_file():
            continue
        segments = _segments(base / split / "con_data" / "rttm_2cls_0sil_spoof")
        folder = (base / split / "con_wav").as_posix()
        for number, row in fields(path, _FIELDS):
            if row["key"] not in ("bonafide", "spoof"):
                raise InputError(
                    f"{path}: line {number}: the key {row['key']!r} is not bonafide or spoof"
                )
            attack = row["attack"] if row["key"] == "spoof" else ""
            spans = segments.get(row["clip"], "")
            clip = f"{folder}/{row['clip']}.wav"
            rows.append((clip, row["key"], attack, row["speaker"], split, spans))
    return manifest_of(
        rows,
        ("path", "label", "attack", "speaker", "split", "spoof_segments"),
        corpus=ABOUT.name,
        source=root,
        hint="protocols/PartialSpoof_LA_cm_protocols/*.trl.txt is not there",
    )


def _segments(path: Path) -> dict[str, str]:
    """Clip -> its spoofed spans, from an RTTM file (empty where there is none)."""
    spans: dict[str, list[str]] = {}
    for number, line in text_lines(path) if path.is_file() else ():
        parts = line.split()
        try:
            clip, start, length, label = parts[1], float(parts[3]), float(parts[4]), parts[7]
        except (IndexError, ValueError):
            raise InputError(
                f"{path}: line {number} is not SPEAKER CLIP 1 START LENGTH <NA> <NA> LABEL ..."
            ) from None
        if label == "spoof":
            spans.setdefault(clip, []).append(f"{start:.3f}-{start + length:.3f}")
    return {clip: " ".join(found) for clip, found in spans.items()}
