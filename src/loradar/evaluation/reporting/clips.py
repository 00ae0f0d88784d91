"""The clips a system is most wrong about, to see and to hear."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import soundfile
from matplotlib.image import imsave
from numpy.typing import NDArray

from loradar.audio.reading import SAMPLE_RATE, load_audio
from loradar.errors import InputError
from loradar.evaluation.calibration import posterior
from loradar.evaluation.copies.spectrogram import LEVELS, RANGE_DB, decibels
from loradar.evaluation.report import Clip

MOST_SECONDS = 8.0


def worst_clips(
    trials: pd.DataFrame, column: str, number: int, folders: Sequence[Path] = ()
) -> list[Clip]:
    """Return the clips with the strongest evidence for the wrong side.

    Parameters
    ----------
    trials : DataFrame
        ``path``, ``label`` and ``column``, all filled.
    column : str
        ``llr``, or ``score`` where there is none.
    number : int
        How many of each class.
    folders : sequence of Path
        Where relative paths are looked for; those that are nowhere get neither sound nor picture.

    Returns
    -------
    list of Clip
        Bona fide clips taken for spoofed ones first; the first `MOST_SECONDS` of each.
    """
    ordered = trials.sort_values([column, "path"])
    real = ordered[ordered["label"] == "bonafide"].head(number)
    fake = ordered[ordered["label"] == "spoof"].tail(number).iloc[::-1]
    return [_clip(row, column, folders) for _, row in pd.concat([real, fake]).iterrows()]


def spectrogram_png(samples: NDArray[Any]) -> bytes:
    """Draw a clip's spectrogram, 0 to 8 kHz from the bottom up, without axes."""
    picture = decibels(samples, SAMPLE_RATE).T
    loudest = float(np.percentile(picture, 99.8))
    buffer = io.BytesIO()
    unsigned: Any = {"Software": None}  # no version: equal clips give equal bytes
    imsave(
        buffer,
        picture[::2],
        cmap=matplotlib.colormaps["magma"].resampled(LEVELS),
        vmin=loudest - RANGE_DB,
        vmax=loudest,
        origin="lower",
        format="png",
        metadata=unsigned,
    )
    return buffer.getvalue()


def _clip(row: pd.Series, column: str, folders: Sequence[Path]) -> Clip:
    truth = "a real person" if row["label"] == "bonafide" else "fake"
    attack = str(row.get("attack", "") or "")
    said = f"score {row[column]:.2f}"
    if column == "llr":
        said = f"p(fake) {100 * float(posterior(row[column])):.1f} % at even odds"
    text = f"In truth {truth}{f' ({attack})' if attack else ''}; {said}."
    path = Path(str(row["path"]))
    found = next((place for folder in folders if (place := folder / path).is_file()), path)
    try:
        samples = load_audio(found, duration_s=MOST_SECONDS)
    except (InputError, OSError):
        return Clip(path.name, f"{text} The recording is not here.")
    if samples.size == 0:
        return Clip(path.name, f"{text} The recording is empty.")
    sound = io.BytesIO()
    soundfile.write(sound, np.clip(samples, -1, 1), SAMPLE_RATE, "PCM_16", format="FLAC")
    return Clip(path.name, text, sound.getvalue(), spectrogram_png(samples))
