"""What a synthesiser leaves of the speech that it was given, band by band.

    python tools/traces.py ../shared/speech/labelled.csv --by family --where split=train,dev
    python tools/traces.py runs/copies/manifest.csv --by attack --where split=dev
    python tools/traces.py runs/copies/manifest.csv --by attack --where split=dev --depth 0.15,1

A manifest with `pair_id`: each spoofed clip is compared with the bona fide clip of its pair,
brought in time with it by cross-correlation. Pairs that do not run in time (another reading of the
sentence) are left out. With --depth, grafts of each copy on its source (`loradar.audio.graft`) are
compared instead. Of each value of a column, in bands of frequency, over frames in which the source
speaks:

- filled: mean difference of the log spectra (copy less source), dB. Above 0 the valleys between
  harmonics are filled.
- coarse: standard deviation of the difference of spectra smoothed over 9 bins (281 Hz) and 5
  frames, dB.
- coherence: of source and copy over 3 bins and 3 frames. 1: harmonics run as in the source;
  some 0.5: nothing in common but the magnitudes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage, signal

from loradar.audio.graft import graft
from loradar.audio.reading import SAMPLE_RATE, load_audio
from loradar.cli.filters import parse_where
from loradar.corpora.manifest import read_manifest
from loradar.errors import InputError, LoradarError
from loradar.evaluation.copies.frames import speech_frames

BANDS = (
    (80, 500),
    (500, 1000),
    (1000, 2000),
    (2000, 3000),
    (3000, 4000),
    (4000, 5500),
    (5500, 7000),
)
MEASURES = ("filled", "coarse", "coherence")
SIZE, HOP = 512, 160
SMOOTH, NEAR = (9, 5), (3, 3)  # bins, frames
MOST_LAG = 8_000  # samples
IN_TIME = 0.75  # least correlation of the log spectra


def in_time(source: NDArray[Any], copy: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Shift two clips [T] against each other; None where they do not run in time."""
    length = min(len(source), len(copy))
    source, copy = source[:length], copy[:length]
    found = np.abs(signal.correlate(copy, source, "full", method="fft"))
    most = min(MOST_LAG, length - 1)
    lag = int(np.argmax(found[length - 1 - most : length + most])) - most
    source, copy = source[max(0, -lag) :], copy[max(0, lag) :]
    length = min(len(source), len(copy))
    if length < 4 * SIZE:
        return None
    source, copy = source[:length], copy[:length]
    one, two = (np.log(np.abs(spectrum(x)) + 1e-3) for x in (source, copy))
    one, two = (x - x.mean(axis=1, keepdims=True) for x in (one, two))
    alike = np.sum(one * two) / max(float(np.sqrt(np.sum(one**2) * np.sum(two**2))), 1e-12)
    return (source, copy) if alike >= IN_TIME else None


def spectrum(x: NDArray[Any]) -> NDArray[Any]:
    """Return the spectra [bins, N] of a clip at unit level, 80 to 7,000 Hz."""
    sos = signal.butter(4, [80, 7_000], "band", fs=SAMPLE_RATE, output="sos")
    band = signal.sosfiltfilt(sos, np.asarray(x, np.float64))
    level = max(float(np.sqrt(np.mean(band**2))), 1e-12)
    return signal.stft(band / level, SAMPLE_RATE, nperseg=SIZE, noverlap=SIZE - HOP)[2]


def traces(source: NDArray[Any], copy: NDArray[Any]) -> dict[str, list[float]]:
    """Return `MEASURES` in `BANDS` of a copy [T] that runs in time with its source [T]."""
    one, two = spectrum(source), spectrum(copy)
    speaks = speech_frames(source, SAMPLE_RATE, HOP / SAMPLE_RATE)[: one.shape[1]]
    one, two = (x[:, : len(speaks)][:, speaks] for x in (one, two))
    hertz = np.linspace(0, SAMPLE_RATE / 2, len(one))
    near = [ndimage.uniform_filter(x, NEAR) for x in (np.abs(one) ** 2, np.abs(two) ** 2)]
    cross = one * two.conj()
    cross = ndimage.uniform_filter(cross.real, NEAR) + 1j * ndimage.uniform_filter(cross.imag, NEAR)
    weight = np.sqrt(np.maximum(near[0] * near[1], 0)) + 1e-12
    coherence = np.abs(cross) / weight
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for low, high in BANDS:
        rows = (hertz >= low) & (hertz < high)
        a, b = np.abs(one[rows]), np.abs(two[rows])
        found["filled"].append(float(20 * np.mean(np.log10(b + 1e-4) - np.log10(a + 1e-4))))
        smooth = [
            10 * np.log10(np.maximum(ndimage.uniform_filter(x**2, SMOOTH), 1e-8)) for x in (a, b)
        ]
        found["coarse"].append(float(np.std(smooth[1] - smooth[0])))
        found["coherence"].append(float(np.average(coherence[rows], weights=weight[rows])))
    return found


def pairs(table: pd.DataFrame) -> Iterator[tuple[pd.Series, str]]:
    """Yield each spoofed row and the path of the bona fide clip of its pair."""
    real = (
        table[table["label"] == "bonafide"].drop_duplicates("pair_id").set_index("pair_id")["path"]
    )
    for _, row in table[table["label"] == "spoof"].iterrows():
        if row["pair_id"] in real.index:
            yield row, real[row["pair_id"]]


def measure(
    table: pd.DataFrame, by: str, most: int, depth: tuple[float, float] | None, seed: int
) -> pd.DataFrame:
    """Return a row a value of ``by`` and measure: mean in each band, and the number of pairs."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[dict[str, list[float]]]] = {}
    for row, source_path in pairs(table.sample(frac=1, random_state=seed)):
        name = str(row[by])
        if len(found.setdefault(name, [])) >= most:
            continue
        clips = in_time(load_audio(source_path), load_audio(row["path"]))
        if clips is not None:
            source, copy = clips
            if depth is not None:
                copy = graft(copy, source, rng, depth)
            found[name].append(traces(source, copy))
    rows = [
        {by: name, "measure": measure, "pairs": len(clips)}
        | {
            f"{low}-{high} Hz": float(np.mean([clip[measure][band] for clip in clips]))
            for band, (low, high) in enumerate(BANDS)
        }
        for name, clips in sorted(found.items())
        for measure in MEASURES
        if clips
    ]
    if not rows:
        raise InputError("no spoofed clip runs in time with the bona fide clip of its pair_id")
    return pd.DataFrame(rows)


def parse_depth(text: str) -> tuple[float, float]:
    """Read LEAST,MOST."""
    try:
        least, most = (float(part) for part in text.split(","))
    except ValueError:
        least, most = 0.0, 0.0
    if not 0 < least <= most <= 1:
        raise InputError(f"--depth {text}: give LEAST,MOST above 0 and up to 1, such as 0.15,1")
    return least, most


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; 2 for bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--by", default="attack", help="a column")
    parser.add_argument("--where", action="append", default=[], metavar="COLUMN=VALUE,...")
    parser.add_argument("--most", type=int, default=12, help="pairs a value")
    parser.add_argument("--depth", help="LEAST,MOST: compare grafts of this depth instead")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    try:
        table = read_manifest(given.manifest).where(parse_where(given.where)).table
        for column in ("pair_id", given.by):
            if column not in table:
                raise InputError(f"{given.manifest}: has no column {column}")
        depth = None if given.depth is None else parse_depth(given.depth)
        result = measure(table, given.by, given.most, depth, given.seed)
    except LoradarError as error:
        print(f"traces: {error}", file=sys.stderr)
        return 2
    print(result.round(2).to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
