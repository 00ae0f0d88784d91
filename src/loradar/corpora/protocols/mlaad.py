"""MLAAD: many languages, many text-to-speech systems; real speech is M-AILABS."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import About
from loradar.corpora.protocols.tree import clips_below, csv_rows, first_there, manifest_of

ABOUT = About(
    name="mlaad",
    title="MLAAD",
    paper="https://arxiv.org/abs/2401.09512",
    url="https://huggingface.co/datasets/mueller91/MLAAD (on request); real speech: M-AILABS",
    licence="CC BY-NC 4.0 (card of its excerpt MLAAD-tiny; its own page once said Apache 2.0)",
    clips="grows with each version",
    hours="163.9 in 23 languages in the paper's version, more since",
    classes="spoof: one folder a system; bona fide: the M-AILABS originals, where they are there",
    layout="fake/LANGUAGE/SYSTEM/*.wav and meta.csv (path|original_file|language|...)\n"
    "real/ with the M-AILABS trees that original_file names",
    facts="github.com/MuSAELab/AUDDT (preprocessing/prep_mlaad.py), "
    "github.com/nii-yamagishilab/AntiDeepfake (protocols/MLAAD.py)",
    figures="hours, languages: arXiv 2401.09512v3; licence: huggingface.co/datasets/mueller91/"
    "MLAAD-tiny",
    rules="It has no official split and no real speech of its own. Say which version was used.",
)
_META = ("path", "original_file", "architecture", "model_name", "is_original_language")


def mlaad(root: Path | str) -> Manifest:
    """Read the folders, and each system's ``meta.csv`` where it is there.

    Parameters
    ----------
    root : Path or str
        The folder with ``fake/``.

    Returns
    -------
    Manifest
        No split. The attack is the system's folder. Free columns: ``language``,
        ``architecture``, ``model_name``, ``is_original_language``, ``pair_id`` (the original's
        path).

    Raises
    ------
    InputError
        No such folder is there, or a ``meta.csv`` is malformed.
    """
    root = Path(root)
    fake = root / "fake"
    known: dict[str, dict[str, str]] = {}
    for meta in sorted(fake.glob("*/*/meta.csv")):
        for _, row in csv_rows(meta, ("path", "original_file"), delimiter="|"):
            # The path is from the root in some versions and from the folder in others.
            name = Path(row["path"]).name
            known[f"{meta.parent.relative_to(fake).as_posix()}/{name}"] = row
    rows = []
    originals: dict[str, str] = {}
    for clip in clips_below(fake) if fake.is_dir() else ():
        if clip.count("/") < 2:
            continue
        language, system, _ = clip.split("/", 2)
        row = known.get(clip, {})
        original = row.get("original_file", "").removeprefix("./")
        if original:
            originals.setdefault(original, language)
        more = [row.get(name, "") for name in _META[2:]]
        path = f"{fake.as_posix()}/{clip}"
        rows.append((path, "spoof", system, language, original, *more))
    for original, language in originals.items():
        there = first_there((root / "real" / original, root / original))
        if there is not None:
            rows.append((there.as_posix(), "bonafide", "", language, original, "", "", ""))
    return manifest_of(
        rows,
        ("path", "label", "attack", "language", "pair_id", *_META[2:]),
        corpus=ABOUT.name,
        source=root,
        hint="fake/LANGUAGE/SYSTEM/*.wav is not there",
    )
