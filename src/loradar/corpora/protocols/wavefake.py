"""WaveFake: LJSpeech and JSUT through neural vocoders."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import About
from loradar.corpora.protocols.tree import clips_below, first_there, manifest_of

ABOUT = About(
    name="wavefake",
    title="WaveFake",
    paper="https://arxiv.org/abs/2111.02813",
    url="https://zenodo.org/records/5642694; real speech: "
    "https://keithito.com/LJ-Speech-Dataset, JSUT",
    licence="CC BY-SA 4.0; LJSpeech public domain; JSUT has terms of its own",
    clips="117,985 generated; 13,100 of LJSpeech",
    hours="196 generated",
    classes="bona fide: LJSpeech and JSUT, one speaker each, where they are there; spoof: the "
    "vocoders",
    layout="generated_audio/SOURCE_VOCODER/*.wav (ljspeech_melgan, jsut_parallel_wavegan, ...)\n"
    "LJSpeech-1.1/wavs/*.wav, jsut_ver1.1/basic5000/wav/*.wav (here or in real_audio/)",
    facts="github.com/nii-yamagishilab/AntiDeepfake (protocols/WaveFake.py), "
    "github.com/piotrkawa/attack-agnostic-dataset",
    size="generated_audio.zip 28.9 GB (second-hand)",
    figures="counts: its datasheet; hours: cisaad.umbc.edu; licence: not checked",
    rules="It has no official split and no real speech of its own: without LJSpeech beside it "
    "there is one class. pair_id names the sentence: keep all versions of one on the same side.",
)
_REAL = {"ljspeech": "LJSpeech-1.1/wavs", "jsut": "jsut_ver1.1/basic5000/wav"}
_PROMPTS = "common_voices_prompts_from_"


def wavefake(root: Path | str) -> Manifest:
    """Read the folders.

    Parameters
    ----------
    root : Path or str
        The folder with ``generated_audio/``, or that folder.

    Returns
    -------
    Manifest
        No split. The speaker is the source corpus; ``pair_id`` the sentence's name.

    Raises
    ------
    InputError
        No such folder is there.
    """
    root = Path(root)
    made = root / "generated_audio" if (root / "generated_audio").is_dir() else root
    rows = []
    for clip in clips_below(made):
        folder, _, name = clip.rpartition("/")
        source, attack = _parts(folder.rpartition("/")[2])
        if source:
            stem = Path(name).stem.removesuffix("_gen")
            rows.append((f"{made.as_posix()}/{clip}", "spoof", attack, source, stem))
    if rows:
        for source, place in _REAL.items():
            bases = (root, root / "real_audio", root.parent)
            there = first_there(base / place for base in bases)
            for clip in clips_below(there) if there else ():
                path = f"{there.as_posix()}/{clip}" if there else clip
                rows.append((path, "bonafide", "", source, Path(clip).stem))
    return manifest_of(
        rows,
        ("path", "label", "attack", "speaker", "pair_id"),
        corpus=ABOUT.name,
        source=root,
        hint="generated_audio/ljspeech_VOCODER/*.wav or jsut_VOCODER/*.wav is not there",
    )


def _parts(folder: str) -> tuple[str, str]:
    """``ljspeech_melgan`` -> (ljspeech, melgan); ('', '') for a folder of something else."""
    if folder.startswith(_PROMPTS):
        attack, _, source = folder.removeprefix(_PROMPTS).rpartition("_")
    else:
        source, _, attack = folder.partition("_")
    return (source, attack) if source in _REAL and attack else ("", "")
