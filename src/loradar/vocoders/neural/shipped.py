"""The files of weights that ship: whether they are there and whole. It needs no torch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from loradar.files import sha256_of

SHIPPED = Path(__file__).parents[1] / "weights"
SUMS = "SHA256SUMS"


def weights_path(name: str) -> Path:
    """Return where the weights of the neural vocoder ``name`` lie, or would lie."""
    return SHIPPED / f"{name}.safetensors"


def weights_digest(name: str) -> str:
    """Return the SHA-256 of a vocoder's weights, empty when they are not there."""
    path = weights_path(name)
    try:
        status = path.stat()
    except OSError:
        return ""
    return _digest(path, status.st_size, status.st_mtime_ns)


def missing_vocoder(name: str) -> str | None:
    """Return None when the weights are there and whole, else one line: what is wrong, what to do.

    Parameters
    ----------
    name : str
        ``istft``, ``gan``, ``flow`` or ``codec``.
    """
    path = weights_path(name)
    digest = weights_digest(name)
    if not digest:
        return f"its weights ({path.name}) are not in this installation: install loradar again"
    if digest != _sums().get(path.name):
        return f"its weights ({path.name}) are not as {SUMS} has them: install loradar again"
    return None


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, changed: int) -> str:
    """Hash a file, once as long as its size and time of change stay."""
    return sha256_of(path)


def _sums() -> dict[str, str]:
    try:
        lines = (SHIPPED / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {name: digest for digest, name in (line.split() for line in lines if line.strip())}
