"""Tables, JSON and pictures of ``loradar experts``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import typer

from loradar.cli.console import OUTPUT, note, reporting, write_output
from loradar.cli.filters import parse_where
from loradar.cli.models import model_folder, shown_name
from loradar.cli.sources import read_source
from loradar.cli.trials import filtered
from loradar.evaluation.table import NONE, rich_table
from loradar.moe_lora import list_experts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from loradar.moe_lora import Expert, MoeLoraConfig
    from loradar.scoring.experts import LayerReport, RoutingReport


def print_experts(detector: Any, model: Path, *, as_json: bool) -> None:
    """Print a model's experts, and their strength in each layer."""
    config = detector.mixture.config
    experts = list_experts(detector.mixture)
    if as_json:
        rows = [
            {
                "number": expert.number,
                "rank": expert.rank,
                "grown": expert.grown,
                "frozen": expert.frozen,
                "parameters": sum(expert.parameters.values()),
                "layers": {
                    name: {"parameters": size, "strength": expert.strength[name]}
                    for name, size in expert.parameters.items()
                },
            }
            for expert in experts
        ]
        keys = ("top_k", "granularity", "scope")
        settings = {key: getattr(config, key) for key in keys}
        write_output(json.dumps({"model": shown_name(model), **settings, "experts": rows}))
        return
    frame = pd.DataFrame(
        [
            {
                "expert": str(expert.number),
                "rank": str(expert.rank),
                "kind": _kind(expert, config),
                "frozen": "yes" if expert.frozen else "no",
                "parameters": f"{sum(expert.parameters.values()):,}",
            }
            for expert in experts
        ]
    )
    OUTPUT.print(rich_table(frame, f"{shown_name(model)}: {_about(config)}"))
    layers = [
        {
            "layer": name or "(model)",
            "parameters each": f"{size:,}",
            **{
                str(expert.number): f"{expert.strength[name]:.2f}"
                if name in expert.strength
                else NONE
                for expert in experts
            },
        }
        for name, size in experts[0].parameters.items()
    ]
    OUTPUT.print(
        rich_table(
            pd.DataFrame(layers),
            "Strength of each expert by layer",
            "Norm of what it adds to the frozen weights where its gate is 1.",
        )
    )


def _kind(expert: Expert, config: MoeLoraConfig) -> str:
    if expert.grown:
        return "grown"
    if config.self_routed:
        return "shared" if expert.number == config.experts - 1 else "self-routed"
    return "softmax" if config.routed else "plain LoRA" if config.kind == "lora" else "alone"


def _about(config: MoeLoraConfig) -> str:
    """Say how experts are chosen, and what they are where they are no LoRAs."""
    spread = config.experts_by_layer
    experts = f"{min(spread)} to {max(spread)} by layer" if spread else str(config.experts)
    about = "no router"
    if config.routed:
        about = (
            f"{config.top_k} of {experts} at work in each {config.granularity}, "
            f"one router a {config.scope}"
        )
    elif config.self_routed:
        about += ", experts answer by their own direction"
    what = config.kind.replace("_", " ").replace(
        "singular matrix", "matrices of singular directions"
    )
    return about if config.kind == "lora" else f"{about}; {what} of the frozen weights"


def show_routing(
    model: Path,
    on: Path,
    where: list[str],
    by: str,
    deals: int,
    report: Path | None,
    plots: Path | None,
    *,
    as_json: bool,
) -> None:
    """Run clips through a model and print, draw or write what its experts did."""
    from loradar.detector import load_detector
    from loradar.inference.model import best_device
    from loradar.scoring.experts import routing_report

    folder = model_folder(model)
    clips = filtered(read_source(on), parse_where(where))
    with reporting() as progress:
        detector = load_detector(folder, device=best_device())
        found = routing_report(detector, clips, by=by, deals=deals, progress=progress)
    if plots is not None:
        _write_plots(plots, found, by)
    if report is not None:
        _write_report(report, shown_name(model), found, by)
    if as_json:
        write_output(json.dumps({"model": shown_name(model), "by": by, **found.to_dict()}))
    else:
        OUTPUT.print(rich_table(_layers_frame(found), "Experts by layer", _CAPTION))
        OUTPUT.print(rich_table(_shares_frame(found, by), f"Who works on what, by {by}, in %"))
    if found.errors:
        note(f"{len(found.errors)} clips could not be read, first: {found.errors[0]}")
        raise typer.Exit(1)


_CAPTION = (
    "entropy: 1 is even routing. information: bits between class and expert; chance: mean and "
    "95 % of deals with shuffled classes."
)


def _layers_frame(found: RoutingReport) -> pd.DataFrame:
    rows = []
    for name, layer in found.layers.items():
        told = layer.information
        entropy = layer.overall(layer.entropy)
        shares = layer.overall(layer.shares)
        rows.append(
            {
                "layer": name,
                "busiest": f"{int(shares.argmax())} ({100 * shares.max():.0f} %)",
                "dead": ", ".join(map(str, layer.dead)) or NONE,
                "entropy": NONE if np.isnan(entropy) else f"{entropy:.2f}",
                "information": NONE if told is None else f"{told.bits:.3f} of {told.limit:.2f}",
                "chance": NONE if told is None else f"{told.chance:.3f} < {told.chance_high:.3f}",
                "p": NONE if told is None else f"{told.p:.3f}",
            }
        )
    return pd.DataFrame(rows)


def _shares_frame(found: RoutingReport, by: str) -> pd.DataFrame:
    rows = []
    # Layers may have unequal numbers of experts.
    most = max(len(shares) for layer in found.layers.values() for shares in layer.shares.values())
    for name, layer in found.layers.items():
        for kind, shares in layer.shares.items():
            entropy = layer.entropy[kind]
            shown = [f"{100 * share:.0f}" for share in shares] + [NONE] * (most - len(shares))
            rows.append(
                {
                    "layer": name,
                    by: kind,
                    **{str(place): share for place, share in enumerate(shown)},
                    "entropy": NONE if np.isnan(entropy) else f"{entropy:.2f}",
                }
            )
    return pd.DataFrame(rows)


def _map(name: str, layer: LayerReport, by: str) -> Figure:
    from loradar.evaluation.figures import heat_map

    columns = [str(place) for place in range(len(next(iter(layer.shares.values()))))]
    return heat_map(
        np.stack(list(layer.shares.values())),
        list(layer.shares),
        columns,
        title=name,
        row_label=by,
        column_label="expert",
        unit="share of the gates",
    )


def _write_plots(folder: Path, found: RoutingReport, by: str) -> None:
    from loradar.evaluation.figures import save_png

    for name, layer in found.layers.items():
        safe = re.sub(r"[^\w.-]+", "_", name) or "model"
        save_png(folder / f"{safe}.png", _map(name, layer, by))
    note(f"wrote {len(found.layers)} heat maps to {folder}")


def _write_report(path: Path, model: str, found: RoutingReport, by: str) -> None:
    from loradar.evaluation.report import Section, write_report

    clips = ", ".join(f"{count} {name}" for name, count in found.clips.items())
    figures = [
        (_map(name, layer, by), f"{name}: mean share of each expert in the gates, by {by}")
        for name, layer in found.layers.items()
    ]
    write_report(
        path,
        f"Experts of {model}",
        [
            Section("Clips", text=[clips]),
            Section("By layer", table=_layers_frame(found), table_caption=_CAPTION),
            Section(f"Who works on what, by {by}", figures=figures),
            Section("In numbers, in percent", table=_shares_frame(found, by)),
        ],
    )
    note(f"wrote {path}")
