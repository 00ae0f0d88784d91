"""What augmentation does to a clip, to see and to hear: a folder of sounds and two sheets."""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from matplotlib.figure import Figure
from PIL import Image

from loradar.audio.augmentation import Augmentation, AugmentationStep
from loradar.audio.augmentation.effects import Samples
from loradar.audio.reading import SAMPLE_RATE
from loradar.errors import InputError
from loradar.evaluation.copies.spectrogram import draw_spectrogram, loudest_of
from loradar.evaluation.figures import blank_figure, plain
from loradar.evaluation.report import Clip, Section, write_report
from loradar.evaluation.reporting.clips import spectrogram_png
from loradar.files import atomic_path, write_text

MARKER = ".loradar-augment"
SOURCE = "source"
_COLUMNS = 5
_COLOURS = 64

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Take:
    """A clip after one augmentation.

    Attributes
    ----------
    name : str
        The variant's, also of its file.
    samples : ndarray of float32, [T]
        16 kHz.
    settings : str
        What the effect draws from, for people.
    milliseconds : float
        Time of the effect; the best of two.
    """

    name: str
    samples: Samples
    settings: str
    milliseconds: float


def take(
    samples: Samples, steps: Mapping[str, AugmentationStep], *, seed: int = 0, number: int = 0
) -> list[Take]:
    """Apply each step to a clip, for itself.

    Parameters
    ----------
    samples : ndarray of float32, [T]
        16 kHz; left as it is.
    steps : mapping of str to AugmentationStep
        Each is taken, whatever its probability.
    seed, number : int
        What is drawn hangs on these and on the name alone, not on the other steps.

    Returns
    -------
    list of Take
        In the order of ``steps``.
    """
    made = []
    for name, step in steps.items():
        best = np.inf
        for _ in range(2):
            rng = np.random.default_rng((seed, zlib.crc32(name.encode()), number))
            started = time.perf_counter()
            result = step.effect.apply(samples, SAMPLE_RATE, rng)
            best = min(best, time.perf_counter() - started)
        made.append(Take(name, result, _settings(step.params), round(1000 * best, 2)))
    return made


def take_chain(
    samples: Samples, chain: Augmentation, *, seed: int = 0, count: int = 3
) -> list[Take]:
    """Apply a whole chain as training does, its steps by their probabilities, ``count`` times."""
    made = []
    for number in range(count):
        rng = np.random.default_rng((seed, zlib.crc32(b"chain"), number))
        started = time.perf_counter()
        result = chain(samples, SAMPLE_RATE, rng)
        spent = round(1000 * (time.perf_counter() - started), 2)
        made.append(Take(f"chain_{number + 1}", result, "all steps by their probabilities", spent))
    return made


def claim(folder: Path) -> None:
    """Make the folder.

    Raises
    ------
    InputError
        It holds other things than an earlier result.
    """
    marker = folder / MARKER
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file: give a folder with -o")
    if folder.is_dir() and any(folder.iterdir()) and not marker.exists():
        raise InputError(f"{folder} holds other files: give a folder of its own with -o")
    write_text(marker, "This folder belongs to loradar augment, which overwrites it.\n")


def write_folder(
    folder: Path,
    title: str,
    source: Samples,
    takes: Sequence[Take],
    *,
    about: Sequence[str] = (),
    progress: Progress | None = None,
) -> None:
    """Write ``NAME.wav`` for the source and each take, ``sheet.png`` and ``index.html``.

    Parameters
    ----------
    folder : Path
        One that was `claim`-ed. Sounds of an earlier run that are not made again go.
    title : str
        Of the page.
    source : ndarray of float32, [T]
        The clip as it was, 16 kHz.
    takes : sequence of Take
        What became of it.
    about : sequence of str
        Paragraphs at the top of the page.
    progress : callable, optional
        Called with (done, total, what).
    """
    names = {SOURCE, *(made.name for made in takes)}
    for old in folder.glob("*.wav"):
        if old.stem not in names:
            old.unlink()
    clips = []
    rows = [Take(SOURCE, source, "as it was", 0.0), *takes]
    for done, made in enumerate(rows, start=1):
        samples, said = _playable(made.samples)
        with atomic_path(folder / f"{made.name}.wav") as temporary:
            soundfile.write(temporary, samples, SAMPLE_RATE, "PCM_16", format="WAV")
        sound = io.BytesIO()
        soundfile.write(sound, samples, SAMPLE_RATE, "PCM_16", format="FLAC")
        spent = f"; {made.milliseconds:g} ms" if made.name != SOURCE else ""
        text = f"{made.settings}{spent}{said}"
        clips.append(Clip(made.name, text, sound.getvalue(), spectrogram_png(made.samples)))
        if progress is not None:
            progress(done, len(rows), "writing")
    with atomic_path(folder / "sheet.png") as temporary:
        _save_small(sheet(source, takes), temporary)
    write_report(
        folder / "index.html",
        title,
        [Section("The clip and what becomes of it", text=list(about), clips=clips)],
    )


def sheet(source: Samples, takes: Sequence[Take]) -> Figure:
    """Draw spectrograms of the source and of each take, all on the source's scale of colours."""
    rows = -(-(1 + len(takes)) // _COLUMNS)
    figure = blank_figure(2.1 * _COLUMNS, 0.3 + 1.35 * rows)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True, sharey=True).ravel()
    loudest = loudest_of(source, SAMPLE_RATE)
    shown = [(SOURCE, source), *((made.name, made.samples) for made in takes)]
    for axes, (name, samples) in zip(panels, shown, strict=False):
        draw_spectrogram(axes, samples, SAMPLE_RATE, loudest)
        axes.set_title(plain(name), fontsize=8, pad=2)
        axes.tick_params(labelsize=6, length=2)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes in panels[max(0, len(shown) - _COLUMNS) : len(shown)]:
        axes.tick_params(labelbottom=True)
    for axes in panels[::_COLUMNS]:
        axes.set_ylabel("kHz", fontsize=6)
    return figure


def _save_small(figure: Figure, path: Path) -> None:
    """Save a picture in few colours: noise would make a large file of many."""
    buffer = io.BytesIO()
    unsigned: Any = {"Software": None}  # no version: equal clips give equal bytes
    figure.savefig(buffer, format="png", dpi=100, metadata=unsigned)
    picture = Image.open(buffer).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    picture.save(path, format="PNG", optimize=True)


def _playable(samples: Samples) -> tuple[Samples, str]:
    """Scale down what would be clipped in a file, and say so."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak <= 1.0:
        return samples, ""
    return samples / np.float32(peak), f"; here {20 * np.log10(peak):.1f} dB lower, to fit a file"


def _settings(params: Mapping[str, Any]) -> str:
    """Write parameters as ``snr_db 10 to 40, colours white pink``."""
    said = []
    for key, value in params.items():
        if isinstance(value, list | tuple):
            numbers = len(value) == 2 and all(isinstance(part, int | float) for part in value)
            if numbers and value[0] == value[1]:
                text = f"{value[0]:g}"
            elif numbers:
                text = f"{value[0]:g} to {value[1]:g}"
            else:
                text = " ".join(map(str, value))
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
        said.append(f"{key} {text}")
    return ", ".join(said) or "no settings"
