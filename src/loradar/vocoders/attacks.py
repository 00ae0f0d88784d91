"""All attacks by name, and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from loradar.errors import ConfigError
from loradar.vocoders.analysis import Samples
from loradar.vocoders.attack import Attack, Source
from loradar.vocoders.classical import CLASSICAL
from loradar.vocoders.neural.shipped import missing_vocoder, weights_digest
from loradar.vocoders.programs import PROGRAMS

__all__ = ["ATTACKS", "Attack", "Source", "choose"]

_LACKING = {
    "transcript": "needs transcripts (a column transcript), and the source has none",
    "other": "needs a second speaker, and the source has one",
}


def _neural(name: str) -> Attack:
    """Stand in for an attack of `loradar.vocoders.neural.attacks`, which loads torch when used."""

    def entry() -> Attack:
        from loradar.vocoders.neural.attacks import NEURAL

        return NEURAL[name]

    def draw(rng: np.random.Generator) -> dict[str, Any]:
        return entry().draw(rng)

    def render(source: Source, settings: Mapping[str, Any], rng: np.random.Generator) -> Samples:
        return entry().render(source, settings, rng)

    return Attack(
        name,
        name,
        "neural",
        draw,
        render,
        missing=partial(missing_vocoder, name),
        weights=partial(weights_digest, name),
    )


ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in [
        *CLASSICAL,
        *(_neural(name) for name in ("istft", "gan", "flow", "codec")),
        *PROGRAMS,
    ]
}


def choose(names: Sequence[str], *, have: frozenset[str]) -> tuple[list[Attack], list[str]]:
    """Find the attacks that were asked for and can run.

    Parameters
    ----------
    names : sequence of str
        Names of attacks or families, or ``all``. A name of both is the family's.
    have : frozenset of str
        What the sources offer, of ``transcript`` and ``other``.

    Returns
    -------
    attacks : list of Attack
        In the order of `ATTACKS`, none twice.
    skipped : list of str
        One line for each attack that cannot run. ``all`` leaves programs out without a line when
        there are no transcripts.

    Raises
    ------
    ConfigError
        A name that is neither an attack nor a family.

    Examples
    --------
    >>> [attack.name for attack in choose(["lpc"], have=frozenset())[0]]
    ['lpc_pulse', 'lpc_quantised']
    """
    families = {attack.family for attack in ATTACKS.values()}
    for name in names:
        if name != "all" and name not in ATTACKS and name not in families:
            raise ConfigError(
                f"no attack or family {name!r}; attacks: {', '.join(ATTACKS)}; "
                f"families: {', '.join(sorted(families))}; or all"
            )
    attacks, skipped = [], []
    for attack in ATTACKS.values():
        named = bool({attack.name, attack.family} & set(names))
        if not named and "all" not in names:
            continue
        lacking = attack.needs - have
        if not named and attack.kind == "program" and lacking:
            continue
        if lacking:
            skipped.append(f"{attack.name}: {_LACKING[min(lacking)]}")
        elif (reason := attack.missing()) is not None:
            skipped.append(f"{attack.name}: {reason}")
        else:
            attacks.append(attack)
    return attacks, skipped
