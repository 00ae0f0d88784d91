"""SONAR: clips of recent commercial and research synthesisers."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import SURVEY, About
from loradar.corpora.protocols.tree import clips_below, manifest_of

ABOUT = About(
    name="sonar",
    title="SONAR",
    paper="https://arxiv.org/abs/2410.04324",
    url="https://github.com/Jessegator/SONAR (Google Drive)",
    licence="not stated",
    clips="2,274 generated; the real ones are not counted anywhere",
    classes="bona fide: real_samples; spoof: OpenAI, xTTS, SeedTTS, VoiceBox, FlashSpeech, VALLE, "
    "PromptTTS2, NaturalSpeech3, AudioGen",
    layout="SONAR_dataset/real_samples/*\nSONAR_dataset/SYSTEM/*",
    facts="its README.md and data_utils.py",
    figures=f"count: {SURVEY}",
    rules="Evaluation only. AudioGen makes sounds, not speech: leave it out of figures on speech "
    "(--where attack=...). The authors draw as many real clips as fake ones at random; here all "
    "of them stand.",
)
_REAL = "real_samples"


def sonar(root: Path | str) -> Manifest:
    """Read the folders.

    Parameters
    ----------
    root : Path or str
        The folder ``SONAR_dataset`` or the one around it.

    Returns
    -------
    Manifest
        Every clip in split ``eval``.

    Raises
    ------
    InputError
        ``real_samples/`` is not there.
    """
    root = Path(root)
    base = root / "SONAR_dataset" if (root / "SONAR_dataset").is_dir() else root
    rows = []
    for clip in clips_below(base) if (base / _REAL).is_dir() else ():
        system, slash, _ = clip.partition("/")
        if slash:
            label, attack = ("bonafide", "") if system == _REAL else ("spoof", system)
            rows.append((f"{base.as_posix()}/{clip}", label, attack, "eval"))
    return manifest_of(
        rows,
        ("path", "label", "attack", "split"),
        corpus=ABOUT.name,
        source=root,
        hint=f"{_REAL}/ with clips is not there",
    )
