"""What ships in the package: encoder ``loradar-embedded``, detector ``loradar/embedded``.

The weights lie beside this file, as ``loradar pretrain`` and ``loradar train`` left them
(``tools/install_embedded.py`` puts them here). Knows files alone, so that no command pays an import
of torch for a name.
"""

from __future__ import annotations

from pathlib import Path

from loradar.errors import CheckpointError, InputError
from loradar.files import sha256_of

ENCODER_ID = "loradar-embedded"
DETECTOR_ID = "loradar/embedded"
FOLDER = Path(__file__).parent
SUMS = "SHA256SUMS"
ENCODER, DETECTOR = "encoder", "detector"

#: What decides an answer, by part; each has its hash in ``SHA256SUMS``.
HASHED = {
    ENCODER: ("config.json", "model.safetensors"),
    DETECTOR: ("config.json", "model.safetensors", "calibration.json"),
}
#: What goes with them: the card, and how they were made.
BESIDE = ("README.md", "recipe.yaml", "metrics.json")
#: For transformers' ``pipeline``, which no answer of ours depends on.
BESIDE_DETECTOR = ("preprocessor_config.json",)


def is_installed(part: str) -> bool:
    """Whether this installation has the ``encoder`` or the ``detector``.

    Examples
    --------
    >>> is_installed("nothing")
    False
    """
    return (FOLDER / part / "model.safetensors").is_file()


def encoder_folder() -> Path:
    """Return the folder of the embedded encoder, its files as they were shipped.

    Raises
    ------
    InputError
        This installation has none.
    CheckpointError
        A file is missing or altered.
    """
    if not is_installed(ENCODER):
        raise InputError(
            f"{ENCODER_ID}: the embedded encoder is not in this installation: set encoder.id to a "
            "local folder or a name on the hub, or run make embedded"
        )
    return _whole(ENCODER)


def detector_folder() -> Path:
    """Return the folder of the embedded detector, its files as they were shipped.

    Raises
    ------
    InputError
        This installation has none.
    CheckpointError
        A file is missing or altered.
    """
    if not is_installed(DETECTOR):
        raise InputError(
            f"{DETECTOR_ID} is not in this installation: give a model folder, or run make demo"
        )
    return _whole(DETECTOR)


def names_detector(target: Path | str) -> bool:
    """Whether this is the name of the embedded detector; the name wins over a folder called so.

    Examples
    --------
    >>> names_detector(Path("loradar/embedded")), names_detector("runs/mine")
    (True, False)
    """
    return Path(target).as_posix() == DETECTOR_ID


def holds(path: Path | str) -> bool:
    """Whether a path lies in the package's own folder of weights, where commands do not write."""
    return Path(path).resolve().is_relative_to(FOLDER.resolve())


def _whole(part: str) -> Path:
    sums = _sums()
    for name in HASHED[part]:
        path = FOLDER / part / name
        if not path.is_file():
            raise CheckpointError(f"{path}: is missing; install Loradar again")
        if sha256_of(path) != sums.get(f"{part}/{name}"):
            raise CheckpointError(
                f"{path}: altered: its SHA-256 is not the one in {SUMS}; install Loradar again"
            )
    return FOLDER / part


def _sums() -> dict[str, str]:
    path = FOLDER / SUMS
    if not path.is_file():
        raise CheckpointError(f"{path}: is missing; install Loradar again")
    lines = (line.partition(" ") for line in path.read_text(encoding="utf-8").splitlines())
    return {name.strip(): digest for digest, _, name in lines}
