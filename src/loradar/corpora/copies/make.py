"""Copies of a whole corpus: planned, made in parallel, recorded, and listed in a manifest."""

from __future__ import annotations

import csv
import functools
import hashlib
import importlib
import io
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from loradar import __version__
from loradar.corpora.copies.channels import choose_channels
from loradar.corpora.copies.journal import Journal
from loradar.corpora.copies.plan import NAME, VOICE, Job, bona_fide, fill_splits, offers, plan
from loradar.corpora.copies.pool import spread
from loradar.corpora.copies.render import Options, Outcome, outdated, render
from loradar.corpora.manifest import COLUMNS, Manifest, write_manifest
from loradar.errors import ConfigError, InputError
from loradar.files import write_text
from loradar.vocoders.attacks import ATTACKS, Attack, choose

_LOG = logging.getLogger(__name__)
_TOLD = 20  # complaints printed one by one; all of them are in skipped.csv
_FORMATS = ("flac", "wav")
_OWN = ("pair_id", "family", "settings", "aligned", "source", "seconds", "channel")

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Copies:
    """What a run made.

    Attributes
    ----------
    manifest : Manifest
        Sources and copies. Free columns: ``pair_id`` (name of the source clip), ``family`` and
        ``settings`` (JSON) of the attack, ``aligned`` (yes, no), ``source`` (the original file),
        ``seconds``, ``channel``, and those of the source manifest.
    skipped : list of (path, attack, reason)
        What was not made; an empty attack stands for the whole clip.
    made : int
        Clips dealt with by this run; the others were there from earlier ones.
    """

    manifest: Manifest
    skipped: list[tuple[str, str, str]] = field(default_factory=list)
    made: int = 0


def make_copies(
    manifest: Manifest,
    out: Path | str,
    *,
    attacks: Sequence[str] = ("all",),
    per_clip: int = 1,
    seed: int = 0,
    seconds: float | None = None,
    channels: Sequence[str] = ("none",),
    audio_format: str = "flac",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Copies:
    """Write copies of every bona fide clip of a manifest, and the clips themselves beside them.

    ``out`` gets ``bonafide/``, ``spoof/ATTACK/`` (16 kHz mono, 16 bits), ``manifest.csv``,
    ``copies.jsonl`` (the record that lets a killed run go on) and, where something could not be
    made, ``skipped.csv``. Equal arguments give equal files, whatever the number of workers.

    Parameters
    ----------
    manifest : Manifest
        Clips; those labelled spoof are left out, unlabelled ones count as bona fide. The column
        ``transcript``, where there is one, is for the attacks that speak a text.
    out : Path or str
        A folder that is new, empty, or holds copies made with the same arguments: what is there
        is kept and the rest is made.
    attacks : sequence of str
        Attacks or families, or ``all``; see `loradar.vocoders.attacks.ATTACKS`.
    per_clip : int
        Copies a clip, by attacks in turn; above the number of attacks means all of them.
    seed : int
        Of all draws.
    seconds : float, optional
        Cut each clip to its most energetic part of this length, 0.5 to 600 s; when not given,
        clips above 60 s are cut to that.
    channels : sequence of str
        See `loradar.corpora.copies.channels.choose_channels`; one a clip, in turn, the same for
        source and copies.
    audio_format : {"flac", "wav"}
        Of the files.
    workers : int, optional
        Processes; the number of cores when not given. With 1 all is done in this process.
    progress : callable, optional
        Called with (done, total, what), in source clips.

    Raises
    ------
    ConfigError
        An argument is not valid, or no attack asked for can run.
    InputError
        Nothing can be copied, the folder holds something else, or the disk is full.
    """
    if per_clip < 1:
        raise ConfigError(f"{per_clip} copies a clip; give 1 or more")
    if seconds is not None and not 0.5 <= seconds <= 600:
        raise ConfigError(f"clips of {seconds:g} s; give 0.5 to 600 s")
    if audio_format not in _FORMATS:
        raise ConfigError(f"format {audio_format!r}; there are {', '.join(_FORMATS)}")
    if not attacks:
        raise ConfigError("no attack is named; give attacks or families, or all")
    out = Path(out)
    table = bona_fide(manifest, out)
    linked, absent = choose_channels(channels)
    chosen, lines = choose(attacks, have=offers(table))
    if not chosen:
        raise ConfigError(f"no attack of {','.join(attacks)} can run: {'; '.join(lines)}")
    for line in (*lines, *absent):
        _LOG.info("skipped: %s", line)
    fill_splits(table, seed)
    jobs = plan(table, chosen, per_clip=per_clip, channels=linked, seed=seed)
    options = Options(str(out.absolute()), seed, seconds, audio_format)
    arguments = {
        "loradar": __version__,
        "attacks": [attack.name for attack in chosen],
        "per_clip": per_clip,
        "seed": seed,
        "seconds": seconds,
        "channels": linked,
        "format": audio_format,
        "source": _fingerprint(table, jobs),
        "clips": len(jobs),
    }
    processes = _processes(workers, jobs, chosen)
    if processes == 1 and any(attack.kind == "neural" for attack in chosen):
        importlib.import_module("torch")  # before the pool holds this process to one thread
    with Journal(options, arguments) as journal:
        _remove_leftovers(out)
        try:
            made = _make(jobs, options, journal, processes, progress)
        except BaseException:
            _remove_leftovers(out)  # of processes that were stopped in the middle
            raise
        outcomes = journal.outcomes
    return _conclude(out, table, jobs, options, outcomes, made)


def _make(
    jobs: Sequence[Job],
    options: Options,
    journal: Journal,
    workers: int,
    progress: Progress | None,
) -> int:
    """Make what the journal lacks; return the number of clips."""
    due = [job for job in jobs if not journal.is_done(job)]
    kept = len(jobs) - len(due)
    if kept:
        _LOG.info("%d of %d clips are there already", kept, len(jobs))
    changed = sum(journal.has_changed(job) for job in due)
    if changed:
        _LOG.warning("the sources of %d clips have changed: they are made again", changed)
    for name, count in _outdated(due, journal).items():
        _LOG.warning("the weights of %s have changed: %d clips are made again", name, count)
    told = 0
    done = kept
    work = functools.partial(render, options=options)
    try:
        with closing(spread(work, due, workers, crashed=_crashed)) as results:
            for job, outcome in results:
                journal.add(job, outcome)
                done += 1
                for remark in _remarks(job, outcome):
                    if told < _TOLD:
                        _LOG.warning("%s", remark)
                    elif told == _TOLD:
                        _LOG.warning("more such lines are not shown")
                    told += 1
                if progress is not None:
                    progress(done, len(jobs), "copying")
    except InputError as error:
        raise InputError(
            f"{error}; {done} of {len(jobs)} clips are done, the same command goes on from there"
        ) from None
    return len(due)


def _outdated(due: Sequence[Job], journal: Journal) -> Counter[str]:
    """Count for each attack the clips that earlier weights made."""
    earlier = (journal.outcomes[job.name] for job in due if job.name in journal.outcomes)
    return Counter(name for outcome in earlier for name in outdated(outcome))


def _conclude(
    out: Path,
    table: pd.DataFrame,
    jobs: Sequence[Job],
    options: Options,
    outcomes: Mapping[str, Outcome],
    made: int,
) -> Copies:
    """Write ``manifest.csv`` and ``skipped.csv``."""
    skipped = [
        (job.path, attack, reason)
        for job in jobs
        for attack, reason in outcomes[job.name].skipped.items()
    ]
    _write_skipped(out / "skipped.csv", skipped)
    kept = [name for name in table.columns if name not in (*COLUMNS, *_OWN, NAME, VOICE)]
    rows: list[dict[str, Any]] = []
    for job, row in zip(jobs, table.to_dict("records"), strict=True):
        shared = {name: row[name] for name in ("speaker", "split", "corpus", *kept)}
        shared |= {"pair_id": job.name, "source": job.path, "channel": job.channel}
        rows.extend({**shared, **own} for own in _rows(job.name, outcomes[job.name], options))
    if not rows:
        raise InputError(f"none of {len(jobs)} clips could be copied: see {out / 'skipped.csv'}")
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *_OWN, *kept])
    manifest = Manifest(frame, source=str(out), folder=out)
    write_manifest(manifest, out / "manifest.csv")
    return Copies(manifest, skipped, made)


def _rows(name: str, outcome: Outcome, options: Options) -> Iterable[dict[str, Any]]:
    """The manifest's rows of one clip: the source, then its copies in the order of `ATTACKS`."""
    for attack in sorted(outcome.seconds, key=lambda name: ["", *ATTACKS].index(name)):
        yield {
            "path": str(options.path(name, attack)),
            "label": "spoof" if attack else "bonafide",
            "attack": attack,
            "family": ATTACKS[attack].family if attack else "",
            "settings": outcome.settings[attack] if attack else "",
            "aligned": "yes" if not attack or ATTACKS[attack].aligned else "no",
            "seconds": outcome.seconds[attack],
        }


def _crashed(job: Job) -> Outcome:
    return Outcome(job.name, {}, {}, {"": "it brings the process that works on it down"})


def _remarks(job: Job, outcome: Outcome) -> list[str]:
    """One line for each thing that a person should hear about a clip."""
    lost = [f"{job.path}: {attack or 'skipped'}: {why}" for attack, why in outcome.skipped.items()]
    return [*lost, outcome.note] if outcome.note else lost


def _processes(workers: int | None, jobs: Sequence[Job], attacks: Sequence[Attack]) -> int:
    """How many processes pay: starting them takes as long as a few classical copies."""
    if workers is not None:
        return max(1, min(workers, len(jobs)))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    copies = sum(len(job.attacks) for job in jobs)
    if copies < 8 and all(attack.kind == "classical" for attack in attacks):
        return 1
    return max(1, min(cores or 1, len(jobs)))


def _fingerprint(table: pd.DataFrame, jobs: Sequence[Job]) -> str:
    """A hash of all that decides the result beside the arguments; not of where the clips lie."""
    digest = hashlib.sha256()
    for job, split, speaker in zip(jobs, table["split"], table["speaker"], strict=True):
        others = [Path(path).name for path in job.others]
        entry = [job.name, job.attacks, job.channel, job.transcript, others, split, speaker]
        digest.update(json.dumps(entry).encode())
    return digest.hexdigest()


def _remove_leftovers(out: Path) -> None:
    """Remove the temporary files of a run that was killed."""
    for place in ("bonafide", "spoof"):
        for folder, _, files in os.walk(out / place):
            for name in files:
                if name.startswith("."):
                    Path(folder, name).unlink(missing_ok=True)


def _write_skipped(path: Path, skipped: Sequence[tuple[str, str, str]]) -> None:
    if not skipped:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "attack", "reason"])
    writer.writerows(skipped)
    write_text(path, text.getvalue())
