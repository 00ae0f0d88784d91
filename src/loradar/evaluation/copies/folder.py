"""The evidence folder: page, tables, pictures and sounds, which together need nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray

from loradar.audio.reading import SAMPLE_RATE
from loradar.errors import InputError
from loradar.evaluation.copies.about import Run, Shown
from loradar.evaluation.copies.gather import Findings
from loradar.evaluation.copies.markdown import docs_page, markdown_table
from loradar.evaluation.copies.page import EXAMPLES, audio_path, page, picture_path
from loradar.evaluation.copies.spectrogram import spectrogram_pair
from loradar.evaluation.copies.table import evidence_json
from loradar.evaluation.figures import save_png
from loradar.files import atomic_path, write_json, write_text

MARKER = ".loradar-evidence"
_PARTS = ("audio", "spectrograms")

Samples = NDArray[np.float32]
Progress = Callable[[int, int, str], None]


@dataclass
class Examples:
    """Keeps the copies of the first clips, for eyes and ears: pass `keep` to `gather`."""

    copies: dict[tuple[str, int], Samples]

    def keep(self, attack: str, place: int, copy: Samples) -> None:
        """Hold a copy if it is of one of the first clips."""
        if place < EXAMPLES:
            self.copies[attack, place] = copy


def claim(out: Path) -> None:
    """Make the evidence folder; refuse one that holds anything else.

    Raises
    ------
    InputError
        The folder has files of others, or cannot be made.
    """
    marker = out / MARKER
    if out.is_dir() and any(out.iterdir()) and not marker.exists():
        raise InputError(f"{out} holds other files: give the evidence a folder of its own with -o")
    write_text(marker, "This folder belongs to loradar vocoder evidence, which overwrites it.\n")


def write_folder(
    out: Path,
    run: Run,
    findings: Sequence[Findings],
    copies: Mapping[tuple[str, int], Samples],
    *,
    progress: Progress = lambda *_: None,
) -> None:
    """Write ``index.html``, ``evidence.md``, ``evidence.json``, ``copies.csv`` and what they show.

    The page comes last: while it is absent the folder is not complete.

    Parameters
    ----------
    out : Path
        A folder that was `claim`-ed; earlier evidence in it goes.
    run : Run
        How the findings were made.
    findings : sequence of Findings
        Of `gather`.
    copies : mapping
        (attack, place of the clip) -> copy at 16 kHz, as `Examples` keeps them.
    progress : callable
        Called with (done, total, what).
    """
    (out / "index.html").unlink(missing_ok=True)
    for part in _PARTS:
        shutil.rmtree(out / part, ignore_errors=True)
    for place, clip in enumerate(run.clips[:EXAMPLES]):
        _write_flac(out / audio_path("source", place), clip.samples)
    for done, ((name, place), copy) in enumerate(copies.items(), start=1):
        _write_flac(out / audio_path(name, place), copy)
        figure = spectrogram_pair(run.clips[place].samples, copy, SAMPLE_RATE, title=name)
        save_png(out / picture_path(name, place), figure, dpi=110)
        progress(done, len(copies), "drawing")
    write_json(out / "evidence.json", {"run": run_json(run), "attacks": evidence_json(findings)})
    write_text(out / "evidence.md", f"{run.summary}\n\n{markdown_table(findings)}")
    _write_copies(out / "copies.csv", findings)
    write_text(out / "index.html", page(run, findings, set(copies)))


def write_docs(
    docs: Path,
    run: Run,
    findings: Sequence[Findings],
    copies: Mapping[tuple[str, int], Samples],
    shown: Shown | None = None,
) -> None:
    """Write ``evidence.md`` and what it shows into a docs folder: some 75 kB an attack.

    Pictures ``evidence/ATTACK.png``, and sounds ``evidence/ATTACK.mp3`` where the clip may be
    heard.

    Parameters
    ----------
    docs : Path
        The docs folder.
    run, findings, copies
        As for `write_folder`. Files that are there already stay unless they have the same name.
    shown : Shown, optional
        The clip that ``copies`` are of; the run's first clip when None.
    """
    shown = run.shown if shown is None else shown
    pictures, source = docs / "evidence", shown.clip.samples
    names = [found.attack.name for found in findings if (found.attack.name, 0) in copies]
    if shown.audible and names:
        _write_mp3(pictures / "source.mp3", source)
    for name in names:
        if shown.audible:
            _write_mp3(pictures / f"{name}.mp3", copies[name, 0])
        figure = spectrogram_pair(source, copies[name, 0], SAMPLE_RATE, title=name, width=6.0)
        save_png(pictures / f"{name}.png", figure, dpi=90)
    write_text(docs / "evidence.md", docs_page(run, findings, names, shown))


def run_json(run: Run) -> dict[str, object]:
    """Return how the evidence was made, as values that JSON can hold."""
    return {
        "source": run.source,
        "clips": [clip.name for clip in run.clips],
        "speakers": run.speakers,
        "seconds": round(sum(len(clip.samples) for clip in run.clips) / SAMPLE_RATE, 3),
        "seed": run.seed,
        "threads": run.threads,
        "loradar": run.version,
        "command": run.command,
        "skipped": list(run.skipped),
        "credit": run.credit,
    }


def _write_flac(path: Path, samples: Samples) -> None:
    # A copy has its source's RMS, so a peak may lie beyond what 16 bits hold.
    with atomic_path(path) as temporary:
        soundfile.write(temporary, np.clip(samples, -1, 1), SAMPLE_RATE, subtype="PCM_16")


def _write_mp3(path: Path, samples: Samples) -> None:
    """Write a sound that any browser plays, at some 60 kbit/s: 30 kB for 4 s."""
    with (
        atomic_path(path) as temporary,
        soundfile.SoundFile(
            temporary,
            "w",
            SAMPLE_RATE,
            1,
            subtype="MPEG_LAYER_III",
            bitrate_mode="CONSTANT",
            compression_level=0.7,
        ) as file,
    ):
        file.write(np.clip(samples, -1, 1))


def _write_copies(path: Path, findings: Sequence[Findings]) -> None:
    """One row a copy: which settings did what."""
    rows = []
    for found in findings:
        scores = iter(found.trivial.scores if found.trivial is not None else ())
        rows += [
            {
                "attack": found.attack.name,
                "clip": copy.clip,
                "speaker": copy.speaker,
                "settings": json.dumps(copy.settings, sort_keys=True),
                **copy.measures,
                "trivial_score": None if copy.failure else next(scores, None),
                "failure": copy.failure,
            }
            for copy in found.copies
        ]
    with atomic_path(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")
