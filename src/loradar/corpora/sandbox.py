"""The sandbox corpus: synthetic speakers and vocoded copies of them, rendered from a seed.

It needs no recording of anybody, so tests and demonstrations can make it anywhere. It proves that
the plumbing works, and nothing about the detection of real fakes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray

from loradar.audio.augmentation import Augmentation, AugmentationConfig, AugmentationStep
from loradar.corpora.manifest import COLUMNS, Manifest, write_manifest
from loradar.corpora.voice import SAMPLE_RATE, draw_speaker, speak
from loradar.errors import ConfigError, InputError
from loradar.files import atomic_path, write_text
from loradar.vocoders import VOCODERS

CORPUS = "sandbox"
ID_ATTACKS = ("mel_griffin_lim", "lpc_pulse", "sinusoidal", "phase_randomised")
OOD_ATTACKS = ("lpc_quantised", "phase_vocoder", "world_like")

Progress = Callable[[int, int, str], None]
_TITLE = "# Loradar sandbox corpus\n"
_COPIES = {"train": 2, "dev": 2, "eval": 3}  # attacks a clip is copied by, in turn
_POOL_FROM = 24  # fewer clips than this are rendered sooner than a pool is started


@dataclass(frozen=True)
class _Job:
    """One source clip: what to render, and where."""

    folder: str
    seed: int
    speaker: int
    clip: int
    split: str
    seconds: tuple[float, float]
    attacks: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"s{self.speaker:03d}_{self.clip:04d}"


def make_sandbox(
    out: Path | str,
    *,
    seed: int = 0,
    speakers: int = 12,
    clips_per_speaker: int = 15,
    seconds: tuple[float, float] = (2.0, 4.0),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Render the corpus: FLAC files, ``manifest.csv`` and a README.

    Half of the speakers are in train, a sixth in dev, the rest in eval. Every clip has copies by
    two attacks of `ID_ATTACKS`, in turn; in eval by three of all attacks. Dry voices are copied
    first; then each clip and copy gets a room, a microphone and a level of its own, drawn alike
    for both classes.

    Parameters
    ----------
    out : Path or str
        A folder that is new, empty, or a sandbox corpus already (whose files are written over).
    seed : int
        Equal arguments give equal files, whatever the number of workers.
    speakers : int
        At least 4.
    clips_per_speaker : int
        Human-like clips a speaker; with the defaults there are 600 clips in all.
    seconds : (float, float)
        Shortest and longest clip.
    workers : int, optional
        Processes; the number of cores when not given.
    progress : callable, optional
        Called with (done, total, what), in clips of the bona fide class.

    Returns
    -------
    Manifest
        With the free columns ``fold`` (``id``, or ``ood`` for attacks that are in eval alone),
        ``pair_id`` (the source clip) and ``seconds``.

    Raises
    ------
    ConfigError
        A size is not valid.
    InputError
        The folder holds something else.
    """
    out = Path(out)
    _check(out, speakers, clips_per_speaker, seconds)
    write_text(out / "README.md", _readme(seed))
    for attack in (*ID_ATTACKS, *OOD_ATTACKS):
        (out / "spoof" / attack).mkdir(parents=True, exist_ok=True)
    (out / "bonafide").mkdir(exist_ok=True)
    jobs = list(_jobs(str(out), seed, speakers, clips_per_speaker, seconds))
    rows: list[dict[str, Any]] = []
    for done, part in enumerate(_run(jobs, workers), start=1):
        rows.extend(part)
        if progress is not None:
            progress(done, len(jobs), "rendering the sandbox corpus")
    columns = [*COLUMNS, "fold", "pair_id", "seconds"]
    manifest = Manifest(pd.DataFrame(rows, columns=columns), source=str(out), folder=out)
    write_manifest(manifest, out / "manifest.csv")
    return manifest


def _check(out: Path, speakers: int, clips: int, seconds: tuple[float, float]) -> None:
    if speakers < 4:
        raise ConfigError(f"{speakers} speakers; train, dev and eval need 4 or more together")
    if clips < 1:
        raise ConfigError(f"{clips} clips a speaker; give 1 or more")
    if not 0.5 <= seconds[0] <= seconds[1] <= 60:
        raise ConfigError(f"clips of {seconds[0]} to {seconds[1]} s; give a range in 0.5 to 60 s")
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out}: is a file; give a folder for the sandbox corpus")
    readme = out / "README.md"
    ours = readme.is_file() and readme.read_text("utf-8", "replace").startswith(_TITLE)
    if not ours and any(out.iterdir()):
        raise InputError(f"{out}: holds other files; give a new folder for the sandbox corpus")


def _jobs(
    folder: str, seed: int, speakers: int, clips: int, seconds: tuple[float, float]
) -> Iterator[_Job]:
    train, dev = speakers // 2, max(1, speakers // 6)
    turns = dict.fromkeys(_COPIES, 0)
    for speaker in range(speakers):
        split = "train" if speaker < train else "dev" if speaker < train + dev else "eval"
        choices = (*ID_ATTACKS, *OOD_ATTACKS) if split == "eval" else ID_ATTACKS
        for clip in range(clips):
            start = turns[split]
            turns[split] += _COPIES[split]
            attacks = tuple(
                choices[turn % len(choices)] for turn in range(start, start + _COPIES[split])
            )
            yield _Job(folder, seed, speaker, clip, split, seconds, attacks)


def _run(jobs: list[_Job], workers: int | None) -> Iterator[list[dict[str, Any]]]:
    """Yield each job's rows in order, rendered by processes where that pays."""
    count = min(workers or os.cpu_count() or 1, len(jobs))
    if count <= 1 or len(jobs) < _POOL_FROM:
        yield from map(_render, jobs)
        return
    # Spawned, since forking a process that runs threads (torch) may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        yield from pool.map(_render, jobs, chunksize=4)


def _render(job: _Job) -> list[dict[str, Any]]:
    """Write a clip and its copies; return their manifest rows."""
    speaker = draw_speaker(np.random.default_rng([job.seed, 1, job.speaker]))
    rng = np.random.default_rng([job.seed, 2, job.speaker, job.clip])
    dry = speak(speaker, rng.uniform(*job.seconds), rng)
    rows = [_publish(job, dry, "bonafide", "", rng)]
    for attack in job.attacks:
        copy = VOCODERS[attack](dry, SAMPLE_RATE, rng)
        rows.append(_publish(job, copy, f"spoof/{attack}", attack, rng))
    return rows


def _publish(
    job: _Job, samples: NDArray[np.float32], place: str, attack: str, rng: np.random.Generator
) -> dict[str, Any]:
    path = Path(job.folder, place, f"{job.name}.flac")
    with atomic_path(path) as temporary:
        soundfile.write(temporary, _record(samples, rng), SAMPLE_RATE, subtype="PCM_16")
    return {
        "path": f"{place}/{path.name}",
        "label": "spoof" if attack else "bonafide",
        "attack": attack,
        "speaker": f"s{job.speaker:03d}",
        "split": job.split,
        "corpus": CORPUS,
        "fold": "ood" if attack in OOD_ATTACKS else "id",
        "pair_id": job.name,
        "seconds": round(len(samples) / SAMPLE_RATE, 4),
    }


_CHANNEL = AugmentationConfig(
    steps=(
        AugmentationStep(
            name="room",
            params={"rt60_s": [0.08, 0.3], "direct_to_reverberant_db": [8.0, 20.0]},
        ),
        AugmentationStep(name="filter", params={"gain_db": [-3.0, 3.0]}),
        AugmentationStep(
            name="noise", params={"snr_db": [25.0, 45.0], "colours": ["pink", "random"]}
        ),
    )
)


def _record(samples: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Put a clip in a room before a microphone, at a level of its own, without clipping."""
    heard = Augmentation(_CHANNEL)(samples, SAMPLE_RATE, rng)
    heard = heard - heard.mean()
    level = 10.0 ** (rng.uniform(-32.0, -20.0) / 20.0) / max(float(heard.std()), 1e-9)
    scaled: NDArray[np.float32] = heard * np.float32(level)
    return scaled * np.float32(min(1.0, 0.99 / max(float(np.abs(scaled).max()), 1e-9)))


def _readme(seed: int) -> str:
    return (
        f"{_TITLE}\n"
        "Everything here is synthetic. No human voice is in it: the clips labelled `bonafide` are\n"
        "babble of a physical voice model, the `spoof` clips are the same babble passed through\n"
        "classical vocoders. A detector that does well here has shown that the plumbing (reading,\n"
        "training, evaluation, reports) works. **It has not shown that it can tell human speech\n"
        "from fakes; never quote a number from this corpus as detection skill.**\n"
        "\n"
        f"- Attacks in train, dev and eval (`fold` = `id`): {', '.join(ID_ATTACKS)}.\n"
        f"- Attacks in eval alone (`fold` = `ood`): {', '.join(OOD_ATTACKS)}.\n"
        "- Speakers are in one split each; `pair_id` names the clip a copy was made from.\n"
        "- `manifest.csv` lists every clip: 16 kHz mono, 16-bit FLAC.\n"
        f"- Rendered by `loradar corpus make sandbox` with seed {seed}; the same command gives\n"
        "  the same files.\n"
    )
