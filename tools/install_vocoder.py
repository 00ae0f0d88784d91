"""Put trained vocoders into the package, and write the folder's hashes and table anew.

    python tools/install_vocoder.py runs/vocoder_istft runs/vocoder_gan

Each folder is one that ``loradar vocoder train`` wrote; its family says the file's name.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from safetensors import safe_open

from loradar.errors import LoradarError
from loradar.files import atomic_path, sha256_of, write_text
from loradar.vocoders.neural import shipped
from loradar.vocoders.neural.base import NeuralVocoder
from loradar.vocoders.neural.shipped import SUMS, weights_path
from loradar.vocoders.neural.weights import read_vocoder

RUN_FILE = "vocoder.safetensors"
_PAGE = """# Weights of the neural vocoders

What `loradar corpus copies` uses: float16, one file a family, its configuration and figures inside.
Trained by `loradar vocoder train` on LibriSpeech test-clean (V. Panayotov, G. Chen, D. Povey and
S. Khudanpur, "Librispeech: an ASR corpus based on public domain audio books", ICASSP 2015;
<https://www.openslr.org/12>), CC BY 4.0, without speakers {left_out}.
The weights are Apache-2.0, like the code; `SHA256SUMS` has their hashes.

| family | parameters | hours of speech | steps | minutes | mel distance, dev |
|---|---|---|---|---|---|
{rows}

*Minutes* are of training on one core. *Mel distance* is the mean absolute difference of
log-mel spectrograms between dev clips and their copies, in nepers.

This page is written by `tools/install_vocoder.py`.
"""
_LEFT_OUT = "61, 1221, 2830, 2961, 5639 and 7729"


def install(runs: list[Path]) -> list[Path]:
    """Copy each run's weights, then write ``SHA256SUMS`` and ``README.md`` for all that is there.

    Returns
    -------
    list of Path
        The files put in.

    Raises
    ------
    CheckpointError
        A run has no weights, or a file is not one of a vocoder; nothing was changed then.
    """
    sources = [run / RUN_FILE for run in runs]
    families = [_family(read_vocoder(source)) for source in sources]
    installed = []
    for family, source in zip(families, sources, strict=True):
        target = weights_path(family)
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
        installed.append(target)
    paths = sorted(shipped.SHIPPED.glob("*.safetensors"))
    sums = "".join(f"{sha256_of(path)}  {path.name}\n" for path in paths)
    write_text(shipped.SHIPPED / SUMS, sums)
    rows = "\n".join(_row(path) for path in paths)
    write_text(shipped.SHIPPED / "README.md", _PAGE.format(rows=rows, left_out=_LEFT_OUT))
    return installed


def _family(model: NeuralVocoder) -> str:
    return str(model.config.model_dump()["family"])


def _row(path: Path) -> str:
    model, info = read_vocoder(path), _info(path)
    size = sum(parameter.numel() for parameter in model.parameters())
    return (
        f"| `{_family(model)}` | {size:,} | {info['hours']:.2f} | {info['steps']:,} "
        f"| {info['minutes']:.0f} | {info['mel_distance']:.3f} |"
    )


def _info(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="np") as file:
        info: dict[str, Any] = json.loads((file.metadata() or {}).get("info", "{}"))
    missing = {"hours", "steps", "minutes", "mel_distance"} - info.keys()
    if missing:
        raise LoradarError(f"{path}: does not say its {', '.join(sorted(missing))}")
    return info


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="*", help="folders of loradar vocoder train")
    options = parser.parse_args()
    try:
        done = install(options.runs)
    except (LoradarError, OSError) as error:
        print(f"install_vocoder: {error}", file=sys.stderr)
        return 2
    for path in done:
        print(f"installed {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
