"""A source and its copy as spectrograms side by side."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from loradar.vocoders.analysis import Real, centred, stft

RANGE_DB = 60.0
SIZE = 512
LEVELS = 24  # few colours: noise would make large files of many


def spectrogram_pair(
    source: NDArray[Any], copy: NDArray[Any], sample_rate: int, *, title: str, width: float = 9.0
) -> Figure:
    """Draw a source and its copy on the same scale of colours.

    Parameters
    ----------
    source, copy : ndarray, [T], [T2]
        Both at ``sample_rate`` hertz; the copy is cut or left open at the source's end.
    sample_rate : int
        Hertz.
    title : str
        What the copy is.
    width : float
        Inches; the height is three tenths of it.
    """
    figure = Figure(figsize=(width, 0.3 * width), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    seconds = len(source) / sample_rate
    loudest = loudest_of(source, sample_rate)
    for axes, samples, name in zip(panels, (source, copy), ("source", title), strict=True):
        image = draw_spectrogram(axes, samples, sample_rate, loudest)
        axes.set_xlim(0.0, seconds)
        axes.set_title(name.replace("$", r"\$"), fontsize=9)
        axes.set_xlabel("s", fontsize=8)
        axes.tick_params(labelsize=7)
    panels[0].set_ylabel("kHz", fontsize=8)
    bar = figure.colorbar(image, ax=panels, fraction=0.03, pad=0.01)
    bar.set_label("dB", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def loudest_of(samples: NDArray[Any], sample_rate: int) -> float:
    """Return the level in dB that a clip's scale of colours ends at."""
    return float(np.percentile(decibels(samples, sample_rate), 99.8))


def draw_spectrogram(
    axes: Axes, samples: NDArray[Any], sample_rate: int, loudest: float
) -> AxesImage:
    """Draw a clip [T] over seconds and kHz, in colours from `RANGE_DB` below ``loudest`` dB."""
    return axes.imshow(
        decibels(samples, sample_rate).T,
        origin="lower",
        aspect="auto",
        interpolation="antialiased",
        interpolation_stage="data",
        extent=(0.0, len(samples) / sample_rate, 0.0, sample_rate / 2000),
        cmap=matplotlib.colormaps["magma"].resampled(LEVELS),
        vmin=loudest - RANGE_DB,
        vmax=loudest,
    )


def decibels(samples: NDArray[Any], sample_rate: int) -> Real:
    """Power in dB, [N, SIZE // 2 + 1], one frame each 10 ms."""
    power = np.abs(stft(centred(samples), SIZE, round(0.010 * sample_rate))) ** 2
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12)), np.float64)
