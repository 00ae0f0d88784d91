"""``loradar import``: published weights of other groups as a model folder."""

from __future__ import annotations

from pathlib import Path

import typer

CARD = """# {variant}

Weights published by others, in Loradar's format; nothing was trained or changed here.

| | |
|---|---|
| model | {variant} on the waveform (Jung et al., ICASSP 2022), {parameters:,} parameters |
| trained by its authors on | ASVspoof 2019 LA |
| licence of the weights | MIT, NAVER Corp. 2021 (github.com/clovaai/aasist) |
| front end here | {front_end} |
| made from | `{name}`, SHA-256 {digest} |
"""


def import_weights(
    weights: Path = typer.Argument(
        ..., help="AASIST or AASIST-L of clovaai/aasist: .pth as published, or safetensors."
    ),
    out: Path = typer.Option(..., "-o", "--out", metavar="FOLDER", help="Model folder to make."),
    front_end: str = typer.Option(
        "none",
        "--front-end",
        help="`none`: the waveform as it is, as published. `bandpass`: 80-7,000 Hz and unit "
        "variance, as everything on the mini benchmark.",
    ),
) -> None:
    """Make a model folder of the public AASIST weights, to judge and to compare with.

    Example: `loradar import AASIST.pth -o runs/public_aasist --front-end bandpass`
    """
    from loradar.cli.console import note
    from loradar.detector.checkpoint import CONFIG, save_detector
    from loradar.detector.config import FrontEndConfig, RawAasistConfig
    from loradar.detector.public_weights import load_public_aasist
    from loradar.errors import InputError
    from loradar.files import sha256_of, write_text

    front_ends = {
        "none": FrontEndConfig(normalise=False),
        "bandpass": FrontEndConfig(filter="bandpass"),
    }
    if front_end not in front_ends:
        raise InputError(f"--front-end {front_end}: give {' or '.join(front_ends)}")
    if (out / CONFIG).exists():
        raise InputError(f"{out} already holds a model: give another -o FOLDER")
    detector = load_public_aasist(weights, front_ends[front_end])
    encoder = detector.config.encoder
    assert isinstance(encoder, RawAasistConfig)
    save_detector(detector, out)
    card = CARD.format(
        variant=encoder.variant,
        parameters=sum(p.numel() for p in detector.parameters()),
        front_end=front_end,
        name=weights.name,
        digest=sha256_of(weights),
    )
    write_text(out / "README.md", card)
    note(f"wrote {out}")
