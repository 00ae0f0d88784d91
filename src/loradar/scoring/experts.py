"""What a model's experts do on a manifest's clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loradar.audio.reading import load_audio
from loradar.corpora.manifest import Manifest
from loradar.detector.model import Detector
from loradar.detector.scorer import score_clips
from loradar.errors import InputError
from loradar.evaluation.det import FloatArray
from loradar.evaluation.routing import Information, expert_shares, information
from loradar.moe_lora import RoutingStatistics
from loradar.moe_lora.statistics import DEAD_SHARE

Progress = Callable[[int, int, str], None]
BONAFIDE = "bonafide"


@dataclass
class LayerReport:
    """One router's behaviour, by class.

    Attributes
    ----------
    load : dict of str to ndarray
        Class -> [E]: share of each expert of the softmax in all choices.
    gates : dict of str to ndarray
        Class -> [E + G]: mean gate over clips, grown experts last.
    shares : dict of str to ndarray
        Class -> [E + G]: mean over clips of each expert's part in the gates.
    entropy : dict of str to float
        Class -> mean routing entropy as a share of even routing's (``log E``); NaN without a
        softmax.
    positions : dict of str to int
        Class -> frames (or clips) decided on.
    dead : list of int
        Experts hardly ever at work on any of the clips.
    information : Information or None
        Between class and expert; None with a single class.
    """

    load: dict[str, FloatArray] = field(default_factory=dict)
    gates: dict[str, FloatArray] = field(default_factory=dict)
    shares: dict[str, FloatArray] = field(default_factory=dict)
    entropy: dict[str, float] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    dead: list[int] = field(default_factory=list)
    information: Information | None = None

    def overall(self, values: dict[str, Any]) -> Any:
        """Return the mean over classes of ``values``, weighted by their positions."""
        weights = [self.positions[name] for name in values]
        return np.average(np.array(list(values.values())), axis=0, weights=weights)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "load": {name: row.tolist() for name, row in self.load.items()},
            "gates": {name: row.tolist() for name, row in self.gates.items()},
            "shares": {name: row.tolist() for name, row in self.shares.items()},
            "entropy": {n: None if np.isnan(v) else v for n, v in self.entropy.items()},
            "positions": self.positions,
            "dead": self.dead,
            "information": None if self.information is None else self.information.to_dict(),
        }


@dataclass
class RoutingReport:
    """What the experts did.

    Attributes
    ----------
    clips : dict of str to int
        Clips read of each class, bona fide first.
    layers : dict of str to LayerReport
        By router.
    errors : list of str
        Clips that could not be read, and why.
    """

    clips: dict[str, int]
    layers: dict[str, LayerReport]
    errors: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        layers = {name: layer.to_dict() for name, layer in self.layers.items()}
        return {"clips": self.clips, "layers": layers, "errors": self.errors}


def routing_report(
    detector: Detector,
    manifest: Manifest,
    *,
    by: str = "attack",
    deals: int = 200,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> RoutingReport:
    """Run clips through a detector and look at its routers.

    Parameters
    ----------
    detector : Detector
        In evaluation mode.
    manifest : Manifest
        The clips.
    by : str
        Column of the classes. For ``attack`` the bona fide clips are a class of their own.
    deals : int
        Of the permutation baseline; see `information`.
    batch_size : int
        Windows a forward pass.
    progress : callable, optional
        Called with (done, total, what).

    Raises
    ------
    InputError
        The model has no router, there is no such column, or no clip can be read.
    """
    mixture = detector.mixture
    if mixture is None or not (mixture.config.mixes or mixture.config.grown):
        raise InputError("the model has no routers: only mode moe_lora with two experts or more")
    table = manifest.table
    if by not in table:
        raise InputError(
            f"{manifest.source}: no column {by!r}; there are {', '.join(map(str, table))}"
        )
    classes = table[by].astype(str).replace("", "(empty)")
    if by == "attack":
        classes = classes.where(table["label"] != BONAFIDE, BONAFIDE)
    errors: list[str] = []
    done = 0
    counts: dict[str, int] = {}
    clip_gates: dict[str, list[FloatArray]] = {}
    owners: list[str] = []
    found: dict[str, RoutingStatistics] = {}

    def samples(paths: list[str]) -> Iterator[np.ndarray]:
        nonlocal done
        for path in paths:
            done += 1
            if progress is not None:
                progress(done, len(table), "routing")
            try:
                yield load_audio(path)
            except InputError as error:
                errors.append(f"{path}: {error}")

    names = sorted(set(classes), key=lambda name: (name != BONAFIDE, name))
    for name in names:
        mixture.reset_statistics()
        paths = table.loc[(classes == name).to_numpy(), "path"].tolist()
        scored = list(score_clips(detector, samples(paths), batch_size=batch_size))
        if not scored:
            continue
        counts[name], found[name] = len(scored), mixture.statistics()
        owners += [name] * len(scored)
        for clip in scored:
            for router, gates in clip.gates.items():
                clip_gates.setdefault(router, []).append(np.array(gates))
    mixture.reset_statistics()
    if not counts:
        raise InputError(f"{manifest.source}: no clip can be read (first: {errors[0]})")
    layers = {
        router: _layer(router, np.stack(gates), np.array(owners), found, deals)
        for router, gates in clip_gates.items()
    }
    return RoutingReport(counts, layers, errors)


def _layer(
    router: str,
    gates: FloatArray,
    owners: np.ndarray,
    found: dict[str, RoutingStatistics],
    deals: int,
) -> LayerReport:
    layer = LayerReport()
    shares = expert_shares(gates)
    openings: dict[str, FloatArray] = {}
    for name, seen in found.items():
        layer.positions[name] = seen.positions[router]
        layer.gates[name] = gates[owners == name].mean(0)
        layer.shares[name] = shares[owners == name].mean(0)
        layer.load[name] = np.ones(1)
        layer.entropy[name] = float("nan")
        if router in seen.load:
            layer.load[name] = seen.load[router].numpy()
            layer.entropy[name] = seen.entropy[router] / float(np.log(len(seen.load[router])))
        if router in seen.opening:
            openings[name] = seen.opening[router][:, 1].numpy()
    load = layer.overall(layer.load)
    layer.dead = np.flatnonzero(load * len(load) < DEAD_SHARE).tolist()
    if openings:
        shut = np.flatnonzero(layer.overall(openings) < DEAD_SHARE)
        layer.dead += (len(load) + shut).tolist()
    if len(found) > 1:
        layer.information = information(owners, shares, deals=deals)
    return layer
