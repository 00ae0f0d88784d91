"""A folder of clips of 1 to 30 s, through the pipeline of ``loradar score`` and a plain loop.

The same XLS-R-300M-shape weights (random) and AASIST: `transformers` in float32, one clip after the
other, all windows of a clip in one pass, against ours in bfloat16 and with linear maps in 8 bits.
Chunks of clips are taken in turn, so that all meet the same machine. Beside it, where the time goes
and how far the floor is: the arithmetic at the peak of this machine's products of matrices. And the
embedded detector over real time.

``python benchmarks/folder.py --clips 200`` takes the better part of an hour on two cores; ``make
bench`` calls `measure`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import xlsr
from torch import nn

from loradar.audio.reading import SAMPLE_RATE
from loradar.audio.windows import usual_hop
from loradar.cli.allocator import keep_freed_memory
from loradar.detector.model import Detector
from loradar.embedded import DETECTOR, DETECTOR_ID, is_installed
from loradar.inference.model import Model, load_model
from loradar.scoring.journal import Clip, score_files

CLIPS, CHUNKS, BATCH = 200, 5, 16
SHORTEST_S, LONGEST_S = 1.0, 30.0
TARGET, REAL_TIME = 2.2, 100.0
PEAK_ROUNDS, PEAK_ROWS, PROFILE_ROUNDS = 8, 1600, 9


def make_clips(folder: Path, count: int) -> tuple[list[Path], float]:
    """Write clips (FLAC, 16 kHz) of lengths evenly spread on a logarithmic scale, shuffled."""
    rng = np.random.default_rng(0)
    seconds = rng.permutation(np.geomspace(SHORTEST_S, LONGEST_S, count))
    paths = []
    for number, length in enumerate(seconds):
        time_ = np.arange(round(length * SAMPLE_RATE)) / SAMPLE_RATE
        phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time_)) / SAMPLE_RATE
        buzz = sum(np.cos(k * phase) / k for k in range(1, 20))
        sound = 0.05 * buzz * np.sin(2 * np.pi * 2 * time_) ** 2
        sound += 0.003 * rng.standard_normal(len(time_))
        paths.append(folder / f"{number:04d}.flac")
        soundfile.write(paths[-1], sound, SAMPLE_RATE)
    return paths, float(seconds.sum())


class PlainLoop:
    """What a script does: read, cut, normalise, one clip after the other, in float32."""

    def __init__(self, detector: Detector) -> None:
        assert detector.encoder is not None
        self.encoder: nn.Module = detector.encoder.model
        self.backend = detector.backend
        self.window = detector.window

    @torch.inference_mode()
    def __call__(self, paths: Iterable[Path]) -> list[float]:
        """Return each clip's score, the mean over its windows."""
        return [self._clip(path) for path in paths]

    def _clip(self, path: Path) -> float:
        samples, _ = soundfile.read(path, dtype="float32")
        size, last = self.window, len(samples) - self.window
        if last <= 0:
            windows = [np.resize(samples, size)]
        else:
            starts = [*range(0, last, usual_hop(size)), last]
            windows = [samples[start : start + size] for start in starts]
        batch = torch.from_numpy(np.stack(windows))
        batch = (batch - batch.mean(1, keepdim=True)) / batch.std(1, keepdim=True)
        logits = self.backend(self.encoder(batch).last_hidden_state, None)
        return float((logits[:, 1] - logits[:, 0]).mean())


def pipeline(model: Model, paths: Sequence[Path], out: Path) -> list[float]:
    """Score clips as ``loradar score`` does."""
    out.unlink(missing_ok=True)
    score_files(model, (Clip(str(path)) for path in paths), out, batch_size=BATCH)
    rows = out.read_text(encoding="utf-8").splitlines()
    place = rows[0].split(",").index("score")
    return [float(row.split(",")[place]) for row in rows[1:]]


def folder_rows(count: int) -> list[dict[str, Any]]:
    """Throughput of the pipeline over the plain loop's, and the differences of the scores."""
    plain = PlainLoop(xlsr._detector("frozen").eval())
    ours = {
        name: Model(xlsr._detector("frozen").eval().set_precision(name), None, name)
        for name in ("bfloat16", "int8")
    }
    runs: dict[str, Callable[[Sequence[Path], Path], list[float]]] = {
        "plain": lambda clips, _: plain(clips),
        "bfloat16": lambda clips, out: pipeline(ours["bfloat16"], clips, out),
        "int8": lambda clips, out: pipeline(ours["int8"], clips, out),
    }
    seconds, scores = dict.fromkeys(runs, 0.0), {name: [] for name in runs}
    with tempfile.TemporaryDirectory() as name:
        paths, sound = make_clips(Path(name), count)
        out = Path(name) / "scores.csv"
        for run in runs.values():
            run(paths[:1], out)
        for chunk in range(min(CHUNKS, count)):
            part = paths[chunk :: min(CHUNKS, count)]
            for which, run in runs.items():
                start = time.perf_counter()
                scores[which] += run(part, out)
                seconds[which] += time.perf_counter() - start
            done = len(scores["plain"])
            print(f"  {done}/{count} clips, {seconds}", file=sys.stderr, flush=True)
    one, rows = np.array(scores["plain"]), []
    for which in ours:
        value, off = seconds["plain"] / seconds[which], np.abs(one - np.array(scores[which]))
        target = TARGET if which == "int8" else None  # the fastest way is what is promised
        rows.append(
            {
                "name": f"XLS-R 300M + AASIST, a folder of clips: loradar score, {which}, over a "
                "plain loop",
                "value": round(value, 4),
                "unit": "ratio of clips a second",
                "target": target,
                "better": "higher",
                "ok": None if target is None else value >= target,
                "how": f"loradar score --precision {which} against float32, {count} clips of "
                f"{SHORTEST_S:g} to {LONGEST_S:g} s ({sound:.0f} s), the same windows in both; "
                f"{xlsr.THREADS} threads, {min(CHUNKS, count)} interleaved chunks: "
                f"{seconds[which]:.1f} against {seconds['plain']:.1f} s; scores differ by "
                f"{off.max():.4f} at most, {np.median(off):.4f} in the median, and have a standard "
                f"deviation of {one.std():.4f} over clips (random weights)",
            }
        )
    best = min(ours, key=seconds.__getitem__)
    return [*rows, *_floor_rows(ours["bfloat16"], seconds[best] / sound, sound, count)]


def _floor_rows(
    model: Model, seconds_a_second: float, sound: float, count: int
) -> list[dict[str, Any]]:
    """How much of the time is arithmetic at the machine's peak, and where the rest goes."""
    detector = model.detector
    assert isinstance(detector, Detector)
    parts, flop = profile(detector), window_flop(detector)
    peak = peak_flops(torch.bfloat16)
    total = sum(parts.values())
    shares = ", ".join(f"{name} {100 * value / total:.0f} %" for name, value in parts.items())
    floor = flop / peak
    value = floor / total
    return [
        {
            "name": "XLS-R 300M + AASIST, bfloat16: arithmetic at the machine's peak over the time",
            "value": round(value, 4),
            "unit": "share of the time",
            "target": None,
            "better": "higher",
            "ok": None,
            "how": f"a window takes {total:.2f} s: {shares}; its "
            f"{flop / 1e9:.0f} GFLOP of products and convolutions would take {floor:.2f} s at the "
            f"{peak / 1e9:.0f} GFLOP/s of a bfloat16 product of matrices "
            f"({peak_flops(torch.float32) / 1e9:.0f} in float32); the folder took "
            f"{seconds_a_second:.3f} s a second of sound ({count} clips, {sound:.0f} s)",
        }
    ]


@torch.inference_mode()
def profile(detector: Detector) -> dict[str, float]:
    """Return the seconds that the parts of a window take (median)."""
    assert detector.encoder is not None
    encoder: Any = detector.encoder.model
    watched = {
        "convolutions": encoder.feature_extractor,
        "position": encoder.encoder.pos_conv_embed,
        "AASIST": detector.backend,
    }
    for kind, name in (("attention", "attention"), ("feed-forward", "feed_forward")):
        for number, layer in enumerate(encoder.encoder.layers):
            watched[f"{kind}/{number}"] = getattr(layer, name)
    spent: dict[str, list[float]] = {name: [] for name in watched}
    began: dict[str, float] = {}
    hooks = []
    for name, module in watched.items():

        def start(*_: Any, name: str = name) -> None:
            began[name] = time.perf_counter()

        def stop(*_: Any, name: str = name) -> None:
            spent[name].append(time.perf_counter() - began[name])

        hooks += [module.register_forward_pre_hook(start), module.register_forward_hook(stop)]
    waveforms = torch.randn(1, detector.window, generator=_generator())
    totals = []
    for _ in range(PROFILE_ROUNDS):
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            detector(waveforms)
        totals.append(time.perf_counter() - started)
    for hook in hooks:
        hook.remove()
    parts: dict[str, float] = {}
    for name, seconds in spent.items():
        kind = name.partition("/")[0]
        parts[kind] = parts.get(kind, 0.0) + statistics.median(seconds)
    parts["the rest"] = max(0.0, statistics.median(totals) - sum(parts.values()))
    return parts


def window_flop(detector: Detector) -> float:
    """Return the FLOP of a window's products and convolutions."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.autocast("cpu", torch.bfloat16):
        detector(torch.randn(1, detector.window, generator=_generator()))
    return float(counter.get_total_flops())


@torch.inference_mode()
def peak_flops(dtype: torch.dtype) -> float:
    """Return the fastest rate of a product of matrices of the feed-forward's shape, in FLOP/s."""
    rows, inner, columns = PEAK_ROWS, 1024, 4096
    left = torch.randn(rows, inner, generator=_generator()).to(dtype)
    right = nn.Linear(inner, columns, dtype=dtype)
    seconds = []
    for _ in range(PEAK_ROUNDS):
        start = time.perf_counter()
        right(left)
        seconds.append(time.perf_counter() - start)
    return 2.0 * rows * inner * columns / min(seconds)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def real_time_rows(folder: str | None, count: int) -> list[dict[str, Any]]:
    """Seconds of sound a second of the embedded detector, or of another, in both precisions."""
    if folder is None and not is_installed(DETECTOR):
        print("folder: no embedded detector: its rows are left out", file=sys.stderr)
        return []
    names = ("float32", "bfloat16")
    models = {name: load_model(folder, "cpu", precision=name) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    scores: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        paths, sound = make_clips(Path(name), count)
        for model in models.values():
            pipeline(model, paths[: max(1, count // 8)], Path(name) / "scores.csv")
        for _ in range(3):
            for which, model in models.items():
                start = time.perf_counter()
                scores[which] = pipeline(model, paths, Path(name) / "scores.csv")
                seconds[which].append(time.perf_counter() - start)
    off = float(np.abs(np.subtract(*scores.values())).max())
    title = DETECTOR_ID if folder is None else models["float32"].name
    rows = []
    for which, spent in seconds.items():
        value = sound / min(spent)
        rows.append(
            {
                "name": f"{title}, a folder of clips, {which}: over real time",
                "value": round(value, 1),
                "unit": "seconds of sound a second",
                "target": REAL_TIME,
                "better": "higher",
                "ok": value >= REAL_TIME,
                "how": f"loradar score --precision {which}, {count} clips of {SHORTEST_S:g} to "
                f"{LONGEST_S:g} s ({sound:.0f} s), windows overlapping by a third, {xlsr.THREADS} "
                f"threads; least of 3 rounds taken in turn, {min(spent):.2f} s; scores in bfloat16 "
                f"differ by {off:.3f} at most",
            }
        )
    return rows


def measure(clips: int = CLIPS, model: str | None = None) -> list[dict[str, Any]]:
    """Return the rows for results.json."""
    before = torch.get_num_threads()
    torch.set_num_threads(xlsr.THREADS)
    keep_freed_memory()  # as every command does; the plain loop gains by it too
    try:
        return real_time_rows(model, clips) + folder_rows(clips)
    finally:
        torch.set_num_threads(before)


def main() -> None:
    """Measure with as many clips as are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--clips", type=int, default=CLIPS, help=f"default {CLIPS}")
    parser.add_argument("--model", help="in place of the embedded detector")
    options = parser.parse_args()
    for row in measure(options.clips, options.model):
        print(f"{row['name']}: {row['value']}\n  {row['how']}", flush=True)


if __name__ == "__main__":
    main()
