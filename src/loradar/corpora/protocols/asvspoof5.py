"""ASVspoof 5, track 1: crowdsourced speech, deepfakes and adversarial attacks."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import SURVEY, About
from loradar.corpora.protocols.tree import fields, first_there, manifest_of
from loradar.errors import InputError

ABOUT = About(
    name="asvspoof5",
    title="ASVspoof 5, track 1",
    paper="https://arxiv.org/abs/2408.08739",
    url="https://zenodo.org/records/14498691; https://huggingface.co/datasets/jungjee/asvspoof5",
    licence="ODC-By 1.0; bona fide speech CC BY 4.0",
    clips="182,357 train, 140,950 dev, 680,774 eval",
    classes="bona fide: Multilingual LibriSpeech readers; spoof: A01 to A08 (train), A09 to A16 "
    "(dev), A17 to A32 (eval, some adversarial)",
    size="flac_D and flac_E some 20 and 85 GB; 142 GB in all (second-hand)",
    layout="ASVspoof5.train.tsv, ASVspoof5.dev.track_1.tsv, ASVspoof5.eval.track_1.tsv (here or in "
    "ASVspoof5_protocols/)\nflac_T/*.flac, flac_D/*.flac, flac_E_eval/*.flac (here or in "
    "ASVspoof5_{train,dev,eval}/)",
    facts="README.txt of the release, github.com/nii-yamagishilab/AntiDeepfake "
    "(protocols/ASVspoof5.py)",
    figures=f"sizes: huggingface.co/datasets/jungjee/asvspoof5; counts: notes on the lists in "
    f"public repositories, their sum (188,819 bona fide, 815,262 spoof): {SURVEY}; licence: not "
    "checked",
    rules="Conditions: codec (C01 to C11, empty for none) and codec_quality, in eval alone. Coded "
    "versions of one utterance share codec_seed: keep them on one side of any split of your own.",
)
_PARTS = {
    "train": ("ASVspoof5.train.tsv", "flac_T"),
    "dev": ("ASVspoof5.dev.track_1.tsv", "flac_D"),
    "eval": ("ASVspoof5.eval.track_1.tsv", "flac_E_eval"),
}
_FIELDS = ("speaker", "clip", "gender", "codec", "codec_quality", "codec_seed", "attack_tag")
_FREE = ("gender", "codec", "codec_quality", "codec_seed", "attack_tag")


def asvspoof5(root: Path | str) -> Manifest:
    """Read the lists of track 1.

    Parameters
    ----------
    root : Path or str
        The folder with ``flac_T``, ``flac_D``, ``flac_E_eval`` and the protocols.

    Returns
    -------
    Manifest
        The splits whose list is there. Free columns: ``gender``, ``codec``, ``codec_quality``,
        ``codec_seed`` (the utterance that was coded), ``attack_tag``. Whether the audio is there
        is not looked at.

    Raises
    ------
    InputError
        No list is there, or one is malformed.
    """
    root = Path(root)
    rows = []
    for split, (name, folder) in _PARTS.items():
        path = first_there((root / name, root / "ASVspoof5_protocols" / name))
        nested = root / f"ASVspoof5_{split}" / folder
        audio = (nested if nested.is_dir() else root / folder).as_posix()
        # The files are called .tsv, but spaces part their columns.
        for number, row in fields(path, (*_FIELDS, "attack", "key", "reserved")) if path else ():
            if row["key"] not in ("bonafide", "spoof"):
                raise InputError(
                    f"{path}: line {number}: the key {row['key']!r} is not bonafide or spoof"
                )
            attack = row["attack"] if row["key"] == "spoof" else ""
            more = ["" if row[column] == "-" else row[column] for column in _FREE]
            clip = f"{audio}/{row['clip']}.flac"
            rows.append((clip, row["key"], attack, row["speaker"], split, *more))
    return manifest_of(
        rows,
        ("path", "label", "attack", "speaker", "split", *_FREE),
        corpus=ABOUT.name,
        source=root,
        hint=f"{_PARTS['train'][0]} (or dev, eval) is not there; unpack ASVspoof5_protocols.tar.gz",
    )
