"""``loradar export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from loradar.inference.export.run import Trials


def export(
    model: Path = typer.Argument(..., help="Model folder, or `loradar/embedded`.", metavar="MODEL"),
    to: str = typer.Option("onnx", "--to", help="`onnx`."),
    out: Path | None = typer.Option(
        None, "-o", "--out", metavar="FOLDER", help="Where to. Default: MODEL/onnx."
    ),
    int8: bool = typer.Option(True, "--int8/--no-int8", help="Write a dynamic int8 file too."),
    on: Path | None = typer.Option(
        None,
        "--on",
        metavar="MANIFEST",
        help="Compare the scores, and the EER, on these clips too (split=eval where there is one).",
    ),
    where: list[str] = typer.Option(
        [], "--where", metavar="COLUMN=VALUE,...", help="Use these rows of --on only."
    ),
    batch_size: int = typer.Option(16, "--batch-size", min=1, help="Windows a forward pass."),
    as_json: bool = typer.Option(False, "--json", help="Print the record as JSON."),
) -> None:
    """Write a model for ONNX Runtime: any batch and length, float32 and dynamic int8.

    Plain LoRA is merged, filters and spectra become convolutions. Nothing is written, and the exit
    code is 2, unless the float32 scores are torch's to within 0.001. `loradar detect --engine onnx`
    runs the result.

    Example: `loradar export runs/demo/moe_lora --to onnx --on manifest.csv`
    """
    import json

    from loradar.cli.console import note, reporting, write_output
    from loradar.cli.models import model_folder, shown_name
    from loradar.embedded import holds
    from loradar.errors import InputError
    from loradar.inference.onnx_engine import SUBFOLDER, need_onnx

    if to != "onnx":
        raise InputError(f"--to {to}: give onnx")
    if where and on is None:
        raise InputError("--where chooses rows of a manifest: give --on MANIFEST too")
    need_onnx()
    folder = model_folder(model)
    place = folder / SUBFOLDER if out is None else out
    if holds(place):
        raise InputError(f"{place} is part of the installed package: give -o FOLDER")
    trials = None if on is None else _trials(on, where)

    from loradar.inference.export.run import export as run

    with reporting("clips") as progress:
        record = run(
            folder,
            place,
            name=shown_name(model),
            int8=int8,
            trials=trials,
            batch_size=batch_size,
            progress=progress,
        )
    if as_json:
        write_output(json.dumps(record))
        return
    for line in record_lines(record):
        write_output(line)
    note(f"wrote {place}")


def _trials(on: Path, where: list[str]) -> Trials:
    """Return the readable clips of a manifest."""
    from loradar.audio.reading import load_audio
    from loradar.cli.console import note
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.cli.trials import filtered, with_default_split
    from loradar.errors import InputError
    from loradar.inference.export.run import Trials

    manifest = read_source(on, None)
    table = filtered(manifest, with_default_split(manifest, parse_where(where))).table
    paths, labels = [], []
    for path, label in zip(table["path"].astype(str), table["label"].fillna(""), strict=True):
        try:
            load_audio(path)
        except InputError as error:
            note(f"left out: {error}")
            continue
        paths.append(path)
        labels.append(str(label))
    if not paths:
        raise InputError(f"{on}: no clip could be read")
    return Trials(lambda: (load_audio(path) for path in paths), labels)


def record_lines(record: dict[str, Any]) -> list[str]:
    """Lay an export's record out for a person, a line a file."""
    lines = []
    before = record.get("eer_torch")
    for kind, entry in record["files"].items():
        apart = entry.get("difference_on_clips", entry["difference"])
        where = "clips" if "difference_on_clips" in entry else "test signals"
        line = (
            f"{entry['file']}: {kind}, {entry['bytes'] / 1e6:.1f} MB; score differs from torch's "
            f"by {apart['mean']:.1g} on average, {apart['largest']:.1g} at most, on "
            f"{apart['trials']} {where}"
        )
        after = entry.get("eer")
        if before is not None and after is not None:
            line += f"; EER {100 * after:.2f} %, torch {100 * before:.2f} %"
        lines.append(line)
    return lines
