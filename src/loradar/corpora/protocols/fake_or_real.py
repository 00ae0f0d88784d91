"""Fake-or-Real: text-to-speech services and open speech, in four versions."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import UNKNOWN_ATTACK, Manifest
from loradar.corpora.protocols.about import ALL, SURVEY, About
from loradar.corpora.protocols.tree import clips_below, manifest_of

_VERSIONS = {
    "original": "for-original",
    "norm": "for-norm",
    "2sec": "for-2seconds",
    "rerec": "for-rerecorded",
}
ABOUT = About(
    name="fake_or_real",
    title="Fake-or-Real (FoR)",
    paper="https://doi.org/10.1109/SPED.2019.8906599",
    url="https://bil.eecs.yorku.ca/datasets",
    licence="see its page",
    clips="over 195,000 in for-original",
    classes="real and fake; the services are not named clip by clip",
    layout="for-norm/{training,validation,testing}/{real,fake}/* (for-original, for-2seconds and "
    "for-rerecorded alike)",
    facts="github.com/nii-yamagishilab/AntiDeepfake (protocols/FakeOrReal.py), "
    "github.com/MuSAELab/AUDDT",
    size="for-norm 6.6 GB unpacked (second-hand)",
    figures=f"count: the paper's abstract; {SURVEY} has 111,000 real and 87,000 fake; licence: "
    "not checked",
    rules="The versions are the same clips: as they came (original), made equal in level, rate and "
    "class balance (norm), cut to 2 s (2sec), re-recorded over a loudspeaker (rerec). One of them "
    "is read, norm where none is named; original gives its classes away by format and rate.",
    subsets=tuple(_VERSIONS),
    default="norm",
)
_SPLITS = {"training": "train", "validation": "dev", "testing": "eval"}


def fake_or_real(root: Path | str, subset: str | None = None) -> Manifest:
    """Read the folders.

    Parameters
    ----------
    root : Path or str
        The folder with ``for-norm/`` and so on, or one of these.
    subset : str, optional
        ``original``, ``norm`` (where none is named), ``2sec``, ``rerec`` or ``all``.

    Returns
    -------
    Manifest
        Official splits; free column ``subset``, the version.

    Raises
    ------
    ConfigError
        There is no such subset.
    InputError
        No such folder is there.
    """
    root = Path(root)
    if subset is None:
        # One version's own folder names it.
        own = {folder: name for name, folder in _VERSIONS.items()}
        subset = own.get(root.absolute().name)
    chosen = ABOUT.choose(subset)
    rows = []
    for version, folder in _VERSIONS.items():
        if chosen not in (ALL, version):
            continue
        top = root if root.absolute().name == folder else root / folder
        for clip in clips_below(top) if top.is_dir() else ():
            part, _, rest = clip.partition("/")
            kind = rest.partition("/")[0]
            if part in _SPLITS and kind in ("real", "fake"):
                label, attack = ("bonafide", "") if kind == "real" else ("spoof", UNKNOWN_ATTACK)
                path = f"{top.as_posix()}/{clip}"
                rows.append((path, label, attack, _SPLITS[part], version))
    return manifest_of(
        rows,
        ("path", "label", "attack", "split", "subset"),
        corpus=ABOUT.name,
        source=Path(f"{root}:{chosen}"),
        hint=f"{_VERSIONS.get(chosen, 'for-norm')}/training/real/* is not there",
    )
