"""Which model a command means: a folder, or the embedded detector by its name."""

from __future__ import annotations

from pathlib import Path

from loradar.embedded import DETECTOR_ID, detector_folder, holds, names_detector
from loradar.errors import InputError


def model_folder(target: Path) -> Path:
    """Return the folder of a model.

    Raises
    ------
    InputError
        It is not there, or the installation has no embedded detector.
    """
    if names_detector(target):
        return detector_folder()
    if not target.is_dir():
        raise InputError(
            f"{target}: no such model folder: give the folder that loradar train wrote"
        )
    return target


def shown_name(target: Path) -> str:
    """What cards and tables call a model."""
    return DETECTOR_ID if names_detector(target) else target.resolve().name


def new_folder(out: Path, first: str = "config.json") -> Path:
    """Return ``out`` if a model, or a file ``first``, may be written there, before the work.

    Raises
    ------
    InputError
        It holds files, is part of the installed package, or cannot be written.
    """
    from contextlib import suppress

    from loradar.files import check_writable

    if holds(out):
        raise InputError(f"{out} is part of the installed package, which stays as it is")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} holds other files: give -o a new folder")
    there = out.exists()
    check_writable(out / first)
    if not there:
        # Until there is something to write: what fails before that leaves no empty folder.
        with suppress(OSError):
            out.rmdir()
    return out


def copy_beside(source: Path, target: Path) -> None:
    """Copy what still holds for a changed model: its recipe and its calibration."""
    import shutil

    from loradar.files import atomic_path

    for name in ("recipe.yaml", "calibration.json"):
        if (source / name).is_file():
            with atomic_path(target / name) as temporary:
                shutil.copyfile(source / name, temporary)
