"""Channels by name, for source and copies alike."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from loradar.audio.augmentation import CODECS, EFFECTS, Effect, available_codecs
from loradar.errors import ConfigError

# Chosen by name: RawBoost and speed make training harder, but no link does such things to speech,
# and a source played faster is not what was said.
_PLAIN = ("noise", "filter", "low_pass", "room", "companding", "gain", "telephone")
_STUDIO = ("suppression", "compression")
CHANNELS = (*_PLAIN, *_STUDIO, *CODECS)


def choose_channels(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Find the channels that were asked for and can run.

    Parameters
    ----------
    names : sequence of str
        Of `CHANNELS`; ``codec`` for all codecs, ``all`` for everything, ``none`` for no channel:
        alone it switches channels off, among others it takes its turn with them.

    Returns
    -------
    channels : list of str
        None twice; ``""`` stands for no channel.
    skipped : list of str
        One line for each that this build lacks.

    Raises
    ------
    ConfigError
        A name that is none of these, or not one of those asked for can run.
    """
    groups = {"all": CHANNELS, "codec": tuple(CODECS), "none": ("",)}
    channels: dict[str, None] = {}
    for name in names:
        if name not in groups and name not in CHANNELS:
            known = ", ".join(CHANNELS)
            raise ConfigError(f"no channel {name!r}; there are {known}; or codec, all, none")
        channels.update(dict.fromkeys(groups.get(name, (name,))))
    absent = [name for name in channels if name in CODECS and name not in available_codecs()]
    skipped = [f"channel {name}: {CODECS[name].missing()}" for name in absent]
    there = [name for name in channels if name not in absent]
    if names and not there:
        raise ConfigError(f"no channel of {','.join(names)} can run: {'; '.join(skipped)}")
    return there, skipped


@functools.cache
def channel_effect(name: str) -> Effect:
    """Return a channel of `CHANNELS`, with its usual ranges."""
    if name in CODECS:
        return EFFECTS["codec"].model_validate({"codecs": [name]})
    return EFFECTS[name]()
