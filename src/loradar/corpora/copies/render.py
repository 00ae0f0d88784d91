"""One source clip to files: itself and its copies, alike in all but what the attacks did."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from loradar.audio.augmentation.effects import rms
from loradar.audio.reading import SAMPLE_RATE
from loradar.corpora.copies.channels import channel_effect
from loradar.corpora.copies.clips import Samples, most_energetic, read_clip
from loradar.corpora.copies.plan import Job
from loradar.corpora.copies.randomness import generator
from loradar.errors import InputError
from loradar.files import atomic_path
from loradar.vocoders.attacks import ATTACKS, Attack, Source

WEIGHTS = "weights"  # among the settings of a neural copy: the start of its weights' SHA-256
_PEAK = 0.99
_OTHER_SECONDS = 10.0  # of the other voice: enough for its statistics


@dataclass(frozen=True)
class Options:
    """What is the same for all clips.

    Attributes
    ----------
    folder : str
        Where the files go.
    seed : int
        Of all draws.
    seconds : float, optional
        Longest clip; see `read_clip`.
    suffix : str
        ``flac`` or ``wav``.
    """

    folder: str
    seed: int
    seconds: float | None
    suffix: str

    def path(self, name: str, attack: str) -> Path:
        """Return the file of a copy, or of the source when ``attack`` is empty."""
        place = Path("spoof", attack) if attack else Path("bonafide")
        return Path(self.folder) / place / f"{name}.{self.suffix}"


@dataclass(frozen=True)
class Outcome:
    """What became of one clip.

    Attributes
    ----------
    name : str
        The job's.
    seconds : dict
        Attack ("" for the source) -> duration of its file in s; empty when the clip was skipped.
    settings : dict
        Attack -> settings, as JSON text.
    skipped : dict
        Attack ("" for the whole clip) -> why it was not made.
    note : str
        A remark for people; may be empty.
    """

    name: str
    seconds: dict[str, float]
    settings: dict[str, str]
    skipped: dict[str, str]
    note: str = ""


def render(job: Job, options: Options) -> Outcome:
    """Make and write one clip's files.

    Copies get the source's RMS, then all go through the same draw of the same channel, then all
    are scaled by one factor so that none clips, and rounded to 16 bits with the same kind of
    dither: what is left to tell them apart is the attack.

    Raises
    ------
    InputError
        A file cannot be written, for instance since the disk is full. What is wrong with the clip
        or with one attack ends in ``skipped`` instead.
    """
    if not job.attacks:
        return _skip(job, "it lacks what the attacks need (a transcript, or another speaker)")
    try:
        samples, note = read_clip(job.path, options.seconds)
    except InputError as error:
        return _skip(job, str(error).removeprefix(f"{job.path}: "))
    # By content: a corpus that was moved or renamed gives the same copies.
    key = hashlib.sha256(samples.tobytes()).hexdigest()
    made: dict[str, Samples] = {"": samples}
    settings: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for name in job.attacks:
        try:
            made[name], drawn = _copy(ATTACKS[name], samples, job, (options.seed, key, name))
            settings[name] = json.dumps(drawn, sort_keys=True)
        except Exception as error:
            # Whatever an attack trips over on one clip, the other clips are none the worse.
            skipped[name] = f"{type(error).__name__}: {error}".removeprefix("InputError: ")
    if not settings:
        return _skip(job, "; ".join(f"{name}: {why}" for name, why in skipped.items()))
    finished = _finish(made, job.channel, (options.seed, key))
    for name in (*settings, ""):
        noise = generator(options.seed, key, name, "dither")
        _write(options.path(job.name, name), finished[name], noise)
    seconds = {name: round(len(x) / SAMPLE_RATE, 4) for name, x in finished.items()}
    return Outcome(job.name, seconds, settings, skipped, note)


def outdated(outcome: Outcome) -> list[str]:
    """Return the attacks of a clip whose weights are no longer those that made its copies."""
    return [
        name
        for name, text in outcome.settings.items()
        if json.loads(text).get(WEIGHTS, "") != _weights(ATTACKS[name])
    ]


def _weights(attack: Attack) -> str:
    return attack.weights()[:12]


def _skip(job: Job, reason: str) -> Outcome:
    return Outcome(job.name, {}, {}, {"": reason})


def _copy(
    attack: Attack, samples: Samples, job: Job, seeds: tuple[object, ...]
) -> tuple[Samples, Mapping[str, Any]]:
    """Return a copy with the source's RMS, and its settings."""
    settings = attack.draw(generator(*seeds, "settings"))
    told = dict(settings)
    other = None
    if "other" in attack.needs:
        other, path = _other_voice(job)
        told["other"] = Path(path).stem
    if weights := _weights(attack):
        told[WEIGHTS] = weights
    source = Source(samples, SAMPLE_RATE, job.transcript, other)
    copy = np.asarray(attack.render(source, settings, generator(*seeds, "render")), np.float32)
    if attack.aligned and len(copy) != len(samples):
        raise InputError(f"its result has {len(copy)} samples, the source {len(samples)}")
    # A text spoken anew has its own duration, which must not tell either.
    copy = most_energetic(copy, len(samples))
    if not np.isfinite(copy).all():
        raise InputError("its result holds NaN or infinite samples")
    level = rms(copy)
    if level < 1e-6:
        raise InputError("its result is silent")
    return copy * np.float32(rms(samples) / level), told


def _other_voice(job: Job) -> tuple[Samples, str]:
    reasons = []
    for path in job.others:
        try:
            return read_clip(path, _OTHER_SECONDS)[0], path
        except InputError as error:
            reasons.append(str(error))
    raise InputError(f"no clip of another speaker can be used ({'; '.join(reasons)})")


def _finish(
    made: Mapping[str, Samples], channel: str, seeds: tuple[object, ...]
) -> dict[str, Samples]:
    """Pass all through the same channel, to one level, below full scale."""
    heard = dict(made)
    if channel:
        effect = channel_effect(channel)
        for name, samples in made.items():
            heard[name] = effect.apply(samples, SAMPLE_RATE, generator(*seeds, "channel"))
    level = rms(heard[""])
    heard = {
        name: x * np.float32(level / max(rms(x), 1e-9)) if name else x for name, x in heard.items()
    }
    peak = max(float(np.abs(x).max()) for x in heard.values())
    gain = np.float32(min(1.0, _PEAK / peak))
    return {name: x * gain for name, x in heard.items()}


def _write(path: Path, samples: Samples, rng: np.random.Generator) -> None:
    """Write 16-bit samples, whole or not at all; encoded in memory so that errors are plain."""
    # Triangular dither of one step hides that sources were whole numbers and copies were not.
    dither = rng.random(len(samples)) - rng.random(len(samples))
    data = np.clip(np.round(samples * 32767.0 + dither), -32768, 32767).astype(np.int16)
    memory = io.BytesIO()
    kind = path.suffix[1:].upper()
    soundfile.write(memory, data, SAMPLE_RATE, format=kind, subtype="PCM_16")
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(memory.getvalue())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
