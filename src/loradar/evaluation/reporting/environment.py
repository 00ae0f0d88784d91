"""What a report was made with: versions, machine, files and their hashes."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from loradar import __version__
from loradar.evaluation.report import Section
from loradar.evaluation.reporting.systems import System

PACKAGES = ("torch", "transformers", "numpy", "scipy", "pandas", "soundfile", "av")


def environment(systems: Sequence[System], command: str, made: str) -> Section:
    """List what it takes to make the report again.

    Parameters
    ----------
    systems : sequence of System
        Their ``sources`` become rows, their ``about`` opens on a click.
    command : str
        The command line.
    made : str
        When it was made.
    """
    rows = [("made", made), ("command", command), ("loradar", __version__)]
    rows.append(("Python", f"{sys.version.split()[0]}, {platform.system()} {platform.machine()}"))
    rows += [(name, found) for name in PACKAGES if (found := _version(name))]
    for system in systems:
        rows += [(f"{system.name}: {what}", fact) for what, fact in system.sources.items()]
    details = [
        (f"{system.name}: {heading}", text)
        for system in systems
        for heading, text in system.about.items()
    ]
    return Section("Configuration and environment", pairs=rows, details=details)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
