"""Two corpora of one name: speech through neural codecs (Wu et al.; Xie et al.)."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import About
from loradar.corpora.protocols.tree import clips_below, first_there, manifest_of, text_lines
from loradar.errors import InputError

VCTK = About(
    name="codecfake",
    title="CodecFake (Wu et al., Interspeech 2024)",
    paper="https://arxiv.org/abs/2406.07237",
    url="https://huggingface.co/datasets/rogertseng/CodecFake_wavs; real speech: VCTK",
    licence="CC BY 4.0",
    clips="707,872 in the Parquet version (16 x 44,242: VCTK itself is probably one of them)",
    classes="spoof: VCTK through 15 neural codecs; bona fide: VCTK, not part of it",
    layout="CODEC/*.wav or CODEC+SPEAKER_NUMBER.wav, as its ZIP files unpack; VCTK's clips, where "
    "wanted, in real/ or genuine/",
    facts="its README.md, github.com/nii-yamagishilab/AntiDeepfake (protocols/CodecFake.py), "
    "github.com/MuSAELab/AUDDT",
    size="102 GB in the Parquet version, by its card",
    figures="count, licence: card of huggingface.co/datasets/rogertseng/CodecFake",
    rules="One class without VCTK beside it; no official split. The folders genuine, "
    "valle, valle-x and speechx, which AUDDT's loader knows, are read too; that loader takes "
    "speech that a codec only re-coded for bona fide, here it is spoof, as in the paper. Not the "
    "corpus of Xie et al. (codecfake_alm).",
)
ALM = About(
    name="codecfake_alm",
    title="Codecfake (Xie et al., 2024)",
    paper="https://arxiv.org/abs/2405.04880",
    url="https://github.com/xieyuankun/Codecfake (six Zenodo records)",
    licence="CC BY-NC-ND 4.0",
    clips="740,747 train, 92,596 dev, test C1 to C6 26,456 each, C7 145,505, A1 and A2 8,902 each, "
    "A3 99,112",
    classes="bona fide: LibriTTS, VCTK, AISHELL-3; spoof: the same through codecs F01 to F07 "
    "(C1 to C7), and audio language models (A1 to A3)",
    layout="label/{train,dev,C1,...,A3}.txt (CLIP.wav real|fake NUMBER)\n"
    "train/*.wav, dev/*.wav, test/C1/*.wav, ... (or C1/ right here)",
    facts="its README.md, github.com/nii-yamagishilab/AntiDeepfake (protocols/Codecfake.py)",
    figures="counts, licence: its README.md",
    rules="The test conditions are reported one by one (--by condition). Clips that a codec only "
    "re-coded count as fake here, as their labels say.",
)
_REAL = ("real", "genuine", "bonafide", "vctk")


def codecfake(root: Path | str) -> Manifest:
    """Read the folders of Wu et al.

    Parameters
    ----------
    root : Path or str
        Where the ZIP files were unpacked.

    Returns
    -------
    Manifest
        No split. The attack is the codec, the speaker VCTK's, ``pair_id`` the sentence.

    Raises
    ------
    InputError
        No clip with a codec's name is there.
    """
    root = Path(root)
    rows = []
    for clip in clips_below(root) if root.is_dir() else ():
        folder, _, name = clip.rpartition("/")
        top = folder.partition("/")[0]
        codec, plus, utterance = name.rpartition("+")
        real = top.lower() in _REAL
        codec = codec if plus else top
        if not (real or codec):
            continue
        parts = Path(utterance).stem.split("_")
        label, attack = ("bonafide", "") if real else ("spoof", codec)
        pair = "_".join(parts[:2])
        rows.append((f"{root.as_posix()}/{clip}", label, attack, parts[0], pair))
    return manifest_of(
        rows,
        ("path", "label", "attack", "speaker", "pair_id"),
        corpus=VCTK.name,
        source=root,
        hint="CODEC/*.wav is not there",
    )


def codecfake_alm(root: Path | str) -> Manifest:
    """Read the lists of Xie et al.

    Parameters
    ----------
    root : Path or str
        The folder with ``label/``.

    Returns
    -------
    Manifest
        Free column ``condition``: ``train``, ``dev``, ``C1`` to ``C7``, ``A1`` to ``A3``. Whether
        the audio is there is not looked at.

    Raises
    ------
    InputError
        No list is there, or one is malformed.
    """
    root = Path(root)
    rows = []
    for path in sorted((root / "label").glob("*.txt")):
        condition = path.stem
        split = condition if condition in ("train", "dev") else "eval"
        places = (root / condition, root / "test" / condition)
        folder = (first_there(places) or places[split == "eval"]).as_posix()
        for number, line in text_lines(path):
            clip, label, *rest = [*line.split(), ""]
            if label not in ("real", "fake"):
                if number == 1:
                    continue  # a header
                raise InputError(f"{path}: line {number} is not CLIP real|fake NUMBER")
            spoof = label == "fake"
            attack = (f"F0{rest[0]}" if rest[0].isdigit() else condition) if spoof else ""
            name = f"{folder}/{clip}"
            rows.append((name, "spoof" if spoof else "bonafide", attack, split, condition))
    return manifest_of(
        rows,
        ("path", "label", "attack", "split", "condition"),
        corpus=ALM.name,
        source=root,
        hint="label/*.txt is not there",
    )
