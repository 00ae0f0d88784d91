"""Our voice activity beside two libraries', on recordings of which the truth is known.

``python benchmarks/voice_activity.py SPEECH`` (a folder of clean human recordings) puts clips of 4
s between gaps of 1 to 3 s, lays noise or music over all of it, and tells how much speech each
detector misses and how much of the gaps it takes for speech, both in percent. Silero VAD (MIT; its
ONNX file, run without torch) and WebRTC's (BSD) are not needed by Loradar: ``pip install --no-deps
silero-vad webrtcvad`` brings them, and what is missing is left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from loradar.audio.augmentation.ambience import music
from loradar.audio.augmentation.channels import coloured_noise
from loradar.audio.augmentation.effects import rms
from loradar.audio.frames import FRAME, HOP, RATE
from loradar.audio.quality import measure_quality
from loradar.audio.reading import load_audio

CLIP, GAPS = 4 * RATE, (1.0, 3.0)
CLIPS, RECORDINGS = 6, 20
#: Decibels below a clip's loud frames down to which a frame is speech for certain.
SURE_DB = 25.0
#: Steps after and before a clip that count for nothing: its own reverberation, our frames' length.
COLLAR = 20
CONDITIONS = {
    "quiet": ("noise", 50.0),
    "noise 20 dB": ("noise", 20.0),
    "noise 10 dB": ("noise", 10.0),
    "noise 5 dB": ("noise", 5.0),
    "music 10 dB": ("music", 10.0),
}
Detect = Callable[[np.ndarray], np.ndarray]


def recordings(
    paths: list[Path], count: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield samples [T] and the truth of each 16 ms: 1 speech, 0 none, -1 not counted."""
    for _ in range(count):
        parts, truth = [], []
        for path in rng.choice(np.array(paths, object), CLIPS, replace=False):
            gap = np.zeros(round(rng.uniform(*GAPS) * RATE / HOP) * HOP, np.float32)
            clip = load_audio(str(path))[: CLIP // HOP * HOP]
            clip = clip[: len(clip) // HOP * HOP] * np.float32(0.05 / max(rms(clip), 1e-6))
            level = 10 * np.log10((clip.reshape(-1, HOP) ** 2).mean(axis=1) + 1e-12)
            sure = np.where(level > np.percentile(level, 95) - SURE_DB, 1, -1)
            none = np.zeros(len(gap) // HOP, int)
            none[:COLLAR] = none[-COLLAR:] = -1
            parts += [gap, clip]
            truth += [none, sure]
        yield np.concatenate(parts), np.concatenate(truth)


def laid_over(samples: np.ndarray, kind: str, snr_db: float, rng: np.random.Generator) -> Any:
    """Return samples [T] with noise or music at this ratio to the clips' level (-26 dB)."""
    if kind == "noise":
        other = coloured_noise(len(samples), rng.uniform(0.0, 1.0), rng)
    else:
        other = music(len(samples), RATE, rng).astype(np.float32)
    return (samples + other * np.float32(0.05 * 10 ** (-snr_db / 20) / rms(other))).astype(
        np.float32
    )


def ours(samples: np.ndarray) -> np.ndarray:
    """Loradar's speech, one value each 16 ms."""
    return np.concatenate([chunk.speech for chunk in measure_quality(samples).chunks])


def silero() -> Detect | None:
    """Silero VAD at its usual threshold of 0.5, by its ONNX file."""
    spec = find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    file = Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    session = onnxruntime.InferenceSession(str(file), options)

    def detect(samples: np.ndarray) -> np.ndarray:
        state, before = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)
        found = []
        for start in range(0, len(samples) - 511, 512):
            piece = np.concatenate([before, samples[start : start + 512]])[None]
            given = {"input": piece, "state": state, "sr": np.array(RATE, np.int64)}
            probability, state = session.run(None, given)
            before = piece[0, -64:]
            found += [probability[0, 0] > 0.5] * (512 // HOP)
        return np.array(found)

    return detect


def webrtc() -> Detect | None:
    """WebRTC's detector, frames of 10 ms, aggressiveness 2."""
    if find_spec("webrtcvad") is None:
        return None
    import webrtcvad

    def detect(samples: np.ndarray) -> np.ndarray:
        vad = webrtcvad.Vad(2)
        whole = (np.clip(samples, -1, 1) * 32_767).astype("<i2")
        frames = [
            vad.is_speech(whole[i : i + 160].tobytes(), RATE)
            for i in range(0, len(whole) - 159, 160)
        ]
        steps = np.arange(len(samples) // HOP) * HOP + HOP // 2
        return np.array(frames)[np.minimum(steps // 160, len(frames) - 1)]

    return detect


def main() -> None:
    """Print a table: missed speech, gaps taken for speech, time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("speech", type=Path, help="folder of clean human recordings (FLAC, WAV)")
    parser.add_argument("--recordings", type=int, default=RECORDINGS)
    given = parser.parse_args()
    paths = sorted(p for p in given.speech.rglob("*") if p.suffix in (".flac", ".wav"))
    if len(paths) < CLIPS:
        sys.exit(f"{given.speech}: {len(paths)} recordings; {CLIPS} or more are needed")
    made = {"Loradar": ours, "Silero VAD": silero(), "WebRTC": webrtc()}
    detectors = {name: detect for name, detect in made.items() if detect is not None}
    sounds = list(recordings(paths, given.recordings, np.random.default_rng(0)))
    seconds = sum(len(samples) for samples, _ in sounds) / RATE
    spent = dict.fromkeys(detectors, 0.0)
    print(f"{len(sounds)} recordings, {seconds / 60:.1f} min, frames of {FRAME} samples")
    print("| detector | " + " | ".join(CONDITIONS) + " | ms a second |\n|" + "---|" * 7)
    cells: dict[str, list[str]] = {name: [] for name in detectors}
    for kind, snr_db in CONDITIONS.values():
        counts = {name: np.zeros(4) for name in detectors}
        rng = np.random.default_rng(1)
        for samples, truth in sounds:
            heard = laid_over(samples, kind, snr_db, rng)
            for name, detect in detectors.items():
                start = time.perf_counter()
                found = np.resize(detect(heard), len(truth))
                spent[name] += time.perf_counter() - start
                counts[name] += [
                    (~found & (truth == 1)).sum(),
                    (truth == 1).sum(),
                    (found & (truth == 0)).sum(),
                    (truth == 0).sum(),
                ]
        for name, (missed, speech, false, none) in counts.items():
            cells[name].append(f"{100 * missed / speech:.1f}, {100 * false / none:.1f}")
    for name, row in cells.items():
        cost = 1000 * spent[name] / (seconds * len(CONDITIONS))
        print(f"| {name} | {' | '.join(row)} | {cost:.2f} |")


if __name__ == "__main__":
    main()
