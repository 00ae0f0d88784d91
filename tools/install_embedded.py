"""Put a pre-trained encoder and the detector trained on it into the package.

    python tools/install_embedded.py runs/embedded/encoder runs/embedded/detector

What ``loradar pretrain`` and ``loradar train`` left is copied to ``src/loradar/embedded``; the
detector's ``encoder.id`` becomes ``loradar-embedded``; paths of this machine are taken out. The
scores of three generated clips are written to ``tests/data/embedded_scores.json``, which the tests
hold. Cards that are there already are kept, since their figures are measured afterwards: they must
name the new weights, or a test fails.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors import safe_open

from loradar import embedded
from loradar.detector.checkpoint import FOR_TRANSFORMERS, load_detector, write_preprocessor
from loradar.detector.model import Detector
from loradar.detector.scorer import score_clips
from loradar.embedded import BESIDE, DETECTOR, ENCODER, ENCODER_ID, HASHED, SUMS
from loradar.errors import CheckpointError, InputError, LoradarError
from loradar.files import sha256_of, write_json

ROOT = Path(__file__).resolve().parents[1]
SCORES = ROOT / "tests" / "data" / "embedded_scores.json"
LARGEST_FILE, MOST_PARAMETERS = 20_000_000, 10_000_000
WEIGHTS, CARD = "model.safetensors", "README.md"
_RATE = 16_000
# An absolute path of two parts or more, one from the home folder or from above, a drive.
_MACHINE = re.compile(
    r"""(?:(?<=[\s"'`(=|,])|^)(?:(?:/[\w.-]+){2,}|~/|\.\./|[A-Za-z]:\\)\S*""", re.M
)


@dataclass(frozen=True)
class Installed:
    """What was put in.

    Attributes
    ----------
    scores : dict
        Name of a generated clip -> score.
    kept : list of str
        Cards that were there and stay.
    """

    scores: dict[str, float]
    kept: list[str]


def install(
    encoder: Path, detector: Path, *, scores: Path = SCORES, new_cards: bool = False
) -> Installed:
    """Install the files of two runs, all or none.

    Parameters
    ----------
    encoder, detector : Path
        Folders of ``loradar pretrain`` and, on it, ``loradar train``.
    scores : Path
        Where the fixed clips' scores go (JSON).
    new_cards : bool
        Take the runs' cards instead of keeping those that are there.

    Raises
    ------
    InputError
        A file is missing or too large, or a text names a path of this machine.
    CheckpointError
        The detector was not trained on this encoder, or a file is altered.
    """
    before = fixed_scores(load_detector(detector, base=str(encoder)))
    target, kept = embedded.FOLDER, []
    with tempfile.TemporaryDirectory(dir=target, prefix=".install-") as name:
        staged = Path(name)
        for part, run in ((ENCODER, encoder), (DETECTOR, detector)):
            _stage(part, run, staged / part, encoder)
            card = target / part / CARD
            if card.is_file() and not new_cards:
                shutil.copyfile(card, staged / part / CARD)
                kept.append(f"{part}/{CARD}")
        _check_size(staged / ENCODER / WEIGHTS)
        _require_no_paths(staged)
        after = fixed_scores(load_detector(staged / DETECTOR, base=str(staged / ENCODER)))
        if after != before:
            raise CheckpointError("the copies score otherwise than the runs: nothing installed")
        (staged / SUMS).write_text("".join(_sums(staged)), encoding="utf-8")
        for item in (ENCODER, DETECTOR, SUMS):
            if (target / item).exists():
                (target / item).rename(staged / f"old-{item}")
            (staged / item).rename(target / item)
    write_json(scores, {"weights": short_hash(target / DETECTOR / WEIGHTS), "scores": after})
    return Installed(after, kept)


def _stage(part: str, run: Path, folder: Path, encoder: Path) -> None:
    folder.mkdir()
    for name in (*HASHED[part], *BESIDE):
        if not (run / name).is_file():
            raise InputError(f"{run / name}: is missing; the run is not complete")
        shutil.copyfile(run / name, folder / name)
    moved = _rewrite_recipe(folder / "recipe.yaml", ENCODER_ID if part == DETECTOR else None)
    if part == DETECTOR:
        _rewrite_config(folder / "config.json")
        _rewrite_metrics(folder / "metrics.json")
        write_preprocessor(folder)
    text = (folder / CARD).read_text(encoding="utf-8")
    for old, new in sorted(moved.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(old, new)
    line = f"weights: sha256 {short_hash(folder / WEIGHTS)}"
    (folder / CARD).write_text(f"{text.rstrip()}\n\n{line}\n", encoding="utf-8")


def _rewrite_config(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    section = record["detector"]["encoder"]
    if section.get("id") is None:
        raise InputError(f"{path.parent.name}: its encoder has no id; train it on the encoder run")
    section |= {"id": ENCODER_ID, "revision": None}
    record |= FOR_TRANSFORMERS
    if "base" in record:
        record["base"]["id"] = ENCODER_ID
    write_json(path, record)


def _rewrite_metrics(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    if record.get("encoder") is not None:
        record["encoder"] = ENCODER_ID
        write_json(path, record)


def _rewrite_recipe(path: Path, encoder_id: str | None) -> dict[str, str]:
    """Make the recipe's paths portable; return what was replaced by what."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    moved: dict[str, str] = {}
    for section in _sections(values):
        if isinstance(section.get("path"), str):
            moved[section["path"]] = portable(section["path"])
            section["path"] = moved[section["path"]]
    source = values["encoder"]
    if isinstance(source.get("id"), str):
        moved[source["id"]] = encoder_id or portable(source["id"])
        source["id"] = moved[source["id"]]
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    return moved


def _sections(values: Any) -> Iterator[dict[str, Any]]:
    if isinstance(values, dict):
        yield values
    if isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _sections(value)


def portable(path: str) -> str:
    """Return a path below the repository as seen from there, any other as its last two parts.

    Names on the hub stay as they are.
    """
    if not (Path(path).is_absolute() or path.startswith((".", "~")) or Path(path).exists()):
        return path
    whole = Path(path).expanduser().resolve()
    if whole.is_relative_to(ROOT):
        return whole.relative_to(ROOT).as_posix()
    return "/".join(whole.parts[-2:])


def _require_no_paths(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".md", ".yaml", ".json"}:
            found = _MACHINE.search(path.read_text(encoding="utf-8"))
            if found:
                where = path.relative_to(folder).as_posix()
                raise InputError(f"{where}: names a path of this machine: {found[0]}")


def _check_size(path: Path) -> None:
    with safe_open(path, framework="np") as file:
        # Keys of the file; the object itself is no mapping.
        sizes = [np.prod(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118
    if path.stat().st_size > LARGEST_FILE or sum(sizes) > MOST_PARAMETERS:
        raise InputError(
            f"the encoder has {int(sum(sizes)):,} parameters in {path.stat().st_size:,} bytes; at "
            f"most {MOST_PARAMETERS:,} in {LARGEST_FILE:,} ship (encoder.weights: float16 halves "
            "the file)"
        )


def _sums(folder: Path) -> Iterator[str]:
    for part, names in HASHED.items():
        for name in sorted(names):
            yield f"{sha256_of(folder / part / name)}  {part}/{name}\n"


def short_hash(path: Path) -> str:
    """Return the first 12 digits of a file's SHA-256, as cards name it."""
    return sha256_of(path)[:12]


def fixed_clips() -> dict[str, np.ndarray]:
    """Make three clips that are the same everywhere: float32, 16 kHz, no speech in them.

    A buzz with vibrato in faint noise (2 s), the same in more noise (6 s, so more windows than
    one), bursts of noise (1 s, so tiled).
    """
    # The legacy generator's stream is frozen by NumPy for good.
    noise = np.random.RandomState(5).standard_normal(6 * _RATE)
    time = np.arange(6 * _RATE) / _RATE
    phase = 2 * np.pi * (120 * time + 0.8 * np.sin(2 * np.pi * 5 * time))
    buzz = np.sum([np.cos(k * phase) / k for k in range(1, 40)], axis=0)
    # Nowhere silent: logarithms of rounding errors would depend on the number of threads.
    bursts = noise * np.where(np.sin(2 * np.pi * 4 * time) > 0, 1.0, 0.01)
    clips = {
        "buzz": (0.1 * buzz + 0.001 * noise)[: 2 * _RATE],
        "buzz_in_noise": 0.1 * buzz + 0.02 * noise,
        "bursts": 0.1 * bursts[:_RATE],
    }
    return {name: clip.astype(np.float32) for name, clip in clips.items()}


def fixed_scores(detector: Detector) -> dict[str, float]:
    """Return a detector's scores of `fixed_clips`, as ``loradar detect`` gives them."""
    clips = fixed_clips()
    found = score_clips(detector, clips.values())
    return {name: round(clip.score, 6) for name, clip in zip(clips, found, strict=True)}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("encoder", type=Path, help="folder of loradar pretrain")
    parser.add_argument("detector", type=Path, help="folder of loradar train")
    parser.add_argument("--new-cards", action="store_true", help="take the runs' cards")
    options = parser.parse_args()
    try:
        done = install(options.encoder, options.detector, new_cards=options.new_cards)
    except (LoradarError, OSError) as error:
        print(f"install_embedded: {error}", file=sys.stderr)
        return 2
    for name in done.kept:
        print(f"kept {name}: measure the new weights, then say so on it, with their hash")
    for part in (ENCODER, DETECTOR):
        folder = embedded.FOLDER / part
        print(f"installed {folder}: weights: sha256 {short_hash(folder / WEIGHTS)}")
    print(f"wrote {SCORES.relative_to(ROOT)}: {done.scores}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
