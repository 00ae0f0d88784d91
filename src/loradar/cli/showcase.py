"""The demo's steps: corpus, two trainings, in- and out-of-domain EER, two verdicts, a report."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from loradar.cli.console import OUTPUT, note, write_output
from loradar.cli.detect import verdict_lines
from loradar.cli.trials import bonafide_and_spoof
from loradar.corpora.manifest import Manifest, read_manifest, write_manifest
from loradar.corpora.sandbox import make_sandbox
from loradar.errors import InputError
from loradar.evaluation.evaluate import evaluate
from loradar.evaluation.figures import det_plot
from loradar.evaluation.report import Section, write_report
from loradar.evaluation.reporting.figures import expert_maps
from loradar.evaluation.table import interval, percent
from loradar.inference.judging import detect
from loradar.inference.model import Model, load_model
from loradar.scoring.scores import score_manifest
from loradar.training.recipe import read_recipe
from loradar.training.run import train

Progress = Callable[[int, int, str], None]
MODES = ("moe_lora", "full")
SET_COLUMN = "demo_set"
MARKER = ".loradar-demo"


def run_showcase(
    recipe: Path, out: Path, corpus: Path | None, overrides: list[str], progress: Progress
) -> Path:
    """Run the demo and return the path of its report.

    Parameters
    ----------
    recipe : Path
        Recipe of both trainings; data and adaptation mode are filled in.
    out : Path
        Folder of the demo.
    corpus : Path or None
        A manifest of real speech; None makes the sandbox corpus.
    overrides : list of str
        ``key=value`` changes to the recipe.
    progress : callable
        Called with (done, total, what).

    Raises
    ------
    InputError
        The manifest lacks a split or a class.
    """
    _claim(out, corpus)
    manifest, unseen = _prepare_corpus(out, corpus, progress)
    tables: dict[str, pd.DataFrame] = {}
    reports: dict[str, dict[str, Any]] = {}
    models: dict[str, Model] = {}
    random_start = True
    evaluation = manifest.where({"split": "eval"})
    for mode in MODES:
        note(f"training {mode}")
        settings = [
            f"name={mode}",
            f"adaptation.mode={mode}",
            f"data.path={manifest_path(out)}",
            f"data.train={{split: train, {SET_COLUMN}: id}}",
            f"data.dev={{split: dev, {SET_COLUMN}: id}}",
            *overrides,
        ]
        folder = out / mode
        shutil.rmtree(folder, ignore_errors=True)
        parsed = read_recipe(recipe, settings)
        random_start = getattr(parsed.encoder, "id", None) is None
        train(parsed, folder, progress=progress)
        models[mode] = load_model(folder)
        tables[mode] = score_manifest(models[mode], evaluation, progress=progress)
        reports[mode] = evaluate(tables[mode], ood=unseen, ood_column="attack")
    comparison = _comparison(tables, reports, unseen)
    _print_table(comparison)
    _print_verdicts(models["moe_lora"], tables["moe_lora"])
    report = out / "report.html"
    _write_report(
        report, tables, comparison, unseen, sandbox=corpus is None, random_start=random_start
    )
    note(f"wrote {report}")
    return report


def _claim(out: Path, corpus: Path | None) -> None:
    """Make the demo's folder; refuse one with things that are not the demo's own."""
    marker = out / MARKER
    if out.is_dir() and any(out.iterdir()) and not marker.exists():
        raise InputError(f"{out} holds other files: give the demo a folder of its own with -o")
    if corpus is not None and corpus.resolve() == manifest_path(out).resolve():
        raise InputError(f"{corpus} is where the demo keeps its own manifest: give another -o")
    out.mkdir(parents=True, exist_ok=True)
    marker.write_text("This folder belongs to loradar demo, which overwrites it.\n")


def manifest_path(out: Path) -> Path:
    """Return where the demo keeps its own manifest."""
    return out / "manifest.csv"


def _prepare_corpus(
    out: Path, corpus: Path | None, progress: Progress
) -> tuple[Manifest, list[str]]:
    if corpus is None:
        folder = out / "corpus"
        if not (folder / "manifest.csv").exists():
            note("making the sandbox corpus (synthetic: it proves plumbing, not detection skill)")
            make_sandbox(folder, progress=progress)
        source = read_manifest(folder / "manifest.csv")
    else:
        source = read_manifest(corpus)
    table = source.table.copy()
    unseen = _unseen_attacks(table)
    table[SET_COLUMN] = np.where(table["attack"].isin(unseen), "ood", "id")
    manifest = Manifest(table)
    write_manifest(manifest, manifest_path(out))
    note(f"held out of training: {', '.join(unseen)}")
    return manifest, unseen


def _unseen_attacks(table: pd.DataFrame) -> list[str]:
    """Attacks for the out-of-domain side: those never in training, else every third by name."""
    spoof = table[table["label"] == "spoof"]
    trained = set(spoof.loc[spoof["split"] == "train", "attack"])
    tested = sorted(set(spoof.loc[spoof["split"] == "eval", "attack"]))
    if not trained or not tested:
        raise InputError(
            "the demo needs spoofed clips with split = train and with split = eval in the manifest"
        )
    tested_real = ((table["label"] == "bonafide") & (table["split"] == "eval")).any()
    if not tested_real or not (table["split"] == "dev").any():
        raise InputError(
            "the demo needs bona fide clips with split = eval, and clips with split = dev"
        )
    unseen = [name for name in tested if name not in trained]
    if not unseen:
        unseen = tested[::3]
    if not trained - set(unseen):
        raise InputError("the demo needs two attacks or more, to hold one out of training")
    return unseen


def _comparison(
    tables: dict[str, pd.DataFrame], reports: dict[str, dict[str, Any]], unseen: list[str]
) -> pd.DataFrame:
    """Lay the figures of both modes side by side: one row a set of attacks, percent."""
    rows: list[dict[str, str]] = []
    seen = {mode: evaluate(t[~t["attack"].isin(unseen)])["pooled"] for mode, t in tables.items()}
    blocks = [("in-domain: attacks seen in training", seen)]
    blocks.append(("out-of-domain: average", {m: r["ood_average"] for m, r in reports.items()}))
    blocks += [
        (f"out-of-domain: {attack}", {m: r["by_attack"][attack] for m, r in reports.items()})
        for attack in unseen
    ]
    for name, by_mode in blocks:
        row = {"EER in percent (95 % interval)": name}
        for mode, block in by_mode.items():
            row[mode] = f"{percent(block['eer'], 1)} ({interval(block['eer_ci'], 1)})"
        rows.append(row)
    return pd.DataFrame(rows)


def _print_table(comparison: pd.DataFrame) -> None:
    from rich.table import Table

    table = Table(title="Equal error rate on eval clips", title_justify="left")
    for place, column in enumerate(comparison.columns):
        table.add_column(str(column), justify="right" if place else "left")
    for row in comparison.itertuples(index=False):
        table.add_row(*map(str, row))
    OUTPUT.print(table)


def _print_verdicts(model: Model, table: pd.DataFrame) -> None:
    note("two eval clips through loradar detect:")
    for label in ("bonafide", "spoof"):
        rows = table[(table["label"] == label) & (table["verdict"] != "ERROR")]
        for verdict in detect(model, rows["path"].head(1)):
            write_output(f"[{label}] " + "\n".join(verdict_lines(verdict)))


def _write_report(
    path: Path,
    tables: dict[str, pd.DataFrame],
    comparison: pd.DataFrame,
    unseen: list[str],
    *,
    sandbox: bool,
    random_start: bool,
) -> None:
    about = [
        "Two detectors on the same encoder: moe_lora trains a mixture of LoRA experts and the "
        "back-end, full trains everything. Higher scores mean more bona fide.",
        f"Attacks never seen in training: {', '.join(unseen)}.",
    ]
    if random_start:
        about.insert(
            1,
            "The demo's encoder starts from random weights, so keeping it frozen is a handicap "
            "that a pre-trained encoder does not have: moe_lora is not expected to win here.",
        )
    if sandbox:
        about.insert(
            0,
            "The speech here is synthetic, made by the sandbox corpus. These numbers prove that "
            "the plumbing works; they say nothing about detecting real spoofed speech.",
        )
    systems = {mode: bonafide_and_spoof(table) for mode, table in tables.items()}
    write_report(
        path,
        "Loradar demo",
        [
            Section("What this is", text=about),
            Section("In- and out-of-domain", table=comparison),
            Section("DET curves", figures=[(det_plot(systems), "All eval clips")]),
            Section(
                "Experts by attack",
                text=["The mean gate of each expert (a column) by attack, one map a router."],
                figures=expert_maps(tables["moe_lora"]),
            ),
        ],
    )
