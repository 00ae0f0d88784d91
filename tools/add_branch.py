"""Put trained spectrogram CNNs beside a detector: their logits are added from then on.

    python tools/add_branch.py runs/embedded/detector runs/embedded/branch \
        runs/embedded/branch_copies --scale 0.6 1.0 -o runs/embedded/joined

Each hears what the other does not (docs/embedded.md). A scale evens out that a CNN's logits are
the larger ones. OUT is the detector's run with the joined weights, without its calibration, which
is of other scores.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from loradar.detector.branch import join
from loradar.detector.checkpoint import load_detector, save_detector
from loradar.detector.model import Detector
from loradar.errors import InputError, LoradarError

CARD = "README.md"
NOTE = "Spectrogram CNNs stand beside it; what is said above is of the detector alone."
#: Of the detector's run, what does not hold for the joined one.
STALE = ("calibration.json", "checkpoints", "onnx", "scores.csv", "suite.json", "tensorboard")


def write(joined: Detector, run: Path, out: Path) -> None:
    """Write a joined detector to ``out``, with what else lies in ``run``; all or nothing.

    Raises
    ------
    InputError
        ``out`` is there already.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; name another folder with -o")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        staged = Path(name) / out.name
        shutil.copytree(run, staged, ignore=shutil.ignore_patterns(*STALE))
        save_detector(joined, staged)
        if (staged / CARD).is_file():
            with (staged / CARD).open("a", encoding="utf-8") as card:
                card.write(f"\n{NOTE}\n")
        staged.rename(out)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("detector", type=Path, metavar="DETECTOR", help="run of loradar train")
    parser.add_argument("cnns", type=Path, nargs="+", metavar="CNN", help="run of one")
    parser.add_argument("--scale", type=float, nargs="+", default=[], help="of each CNN's logits")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    given = parser.parse_args(arguments)
    try:
        scales = given.scale or [1.0] * len(given.cnns)
        if len(scales) != len(given.cnns):
            raise InputError(f"{len(given.cnns)} CNNs, but {len(scales)} of --scale")
        joined = load_detector(given.detector)
        for cnn, scale in zip(given.cnns, scales, strict=True):
            joined = join(joined, load_detector(cnn), scale)
        write(joined, given.detector, given.out)
    except (LoradarError, OSError) as error:
        print(f"add_branch: {error}", file=sys.stderr)
        return 2
    print(f"wrote {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
