"""``loradar experts``: list, watch, freeze, remove, import and export a model's experts."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from loradar.detector.model import Detector


class _ShowFirst(TyperGroup):
    """Takes ``experts MODEL ...`` for ``experts show MODEL ...``."""

    # Typer has a click of its own, so its context has no public name.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            near = get_close_matches(args[0], self.commands, n=1)
            if near and not Path(args[0]).exists():
                ctx.fail(f"No such command '{args[0]}'. Did you mean '{near[0]}'?")
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowFirst,
    help="List a model's experts, or show what they do: `loradar experts MODEL [--on MANIFEST]`. "
    "Freeze, remove, import or export some.",
    no_args_is_help=True,
)

_MODEL = typer.Argument(..., help="Model folder, or `loradar/embedded`.", metavar="MODEL")
_OUT = typer.Option(..., "-o", "--out", metavar="FOLDER", help="The changed model; MODEL stays.")
_NUMBERS = typer.Argument(..., help="Numbers of experts, from 0.", metavar="N...")


@app.command("show")
def show(
    model: Path = _MODEL,
    on: Path | None = typer.Option(
        None, "--on", metavar="MANIFEST", help="Show what the experts do on these clips."
    ),
    where: list[str] = typer.Option(
        [], "--where", metavar="COLUMN=VALUE,...", help="Use these rows of --on only."
    ),
    by: str = typer.Option("attack", "--by", metavar="COLUMN", help="The classes of --on."),
    deals: int = typer.Option(200, "--deals", min=20, help="Of the permutation baseline."),
    report: Path | None = typer.Option(
        None, "--report", metavar="FILE.html", help="Write tables and a heat map a layer."
    ),
    plots: Path | None = typer.Option(
        None, "--plots", metavar="FOLDER", help="Write a heat map a layer (PNG)."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of tables."),
) -> None:
    """List the experts of each layer, or show what they do on clips (the default command).

    With --on: who works on which attack, how evenly, who never does, and the mutual information
    between attack and expert beside what chance gives.

    Example: `loradar experts runs/mine`;
    `loradar experts runs/mine --on clips.csv --report experts.html`
    """
    from loradar.cli.expert_tables import print_experts, show_routing
    from loradar.cli.trials import check_target
    from loradar.errors import InputError

    if on is None:
        if where or report is not None or plots is not None:
            raise InputError("--where, --report and --plots go with --on MANIFEST")
        print_experts(_detector(model), model, as_json=as_json)
        return
    check_target(report, ".html")
    if plots is not None and plots.exists() and not plots.is_dir():
        raise InputError(f"{plots}: is a file: --plots takes a folder")
    show_routing(model, on, where, by, deals, report, plots, as_json=as_json)


@app.command("freeze")
def freeze(model: Path = _MODEL, numbers: list[int] = _NUMBERS, out: Path = _OUT) -> None:
    """Keep experts as they are in all further training.

    Example: `loradar experts freeze runs/mine 0 3 -o runs/kept`
    """
    folder, detector = _to_change(model, out)
    detector.mixture.freeze(*numbers)
    _save(detector, folder, out, f"Frozen: {_listed(numbers)}.")


@app.command("remove")
def remove(model: Path = _MODEL, numbers: list[int] = _NUMBERS, out: Path = _OUT) -> None:
    """Take experts out; those above them move down to their numbers.

    Without a grown expert the model is the one before it, bit for bit. Without one of the softmax's
    it is another model: measure it.

    Example: `loradar experts remove runs/grown 8 -o runs/as_before`
    """
    folder, detector = _to_change(model, out)
    detector.mixture.remove(*numbers)
    _save(detector, folder, out, f"Removed: {_listed(numbers)}.")


@app.command("import")
def import_(
    model: Path = _MODEL,
    adapters: list[Path] = typer.Argument(
        ..., help="Folders of plain PEFT LoRA adapters.", metavar="PEFT_FOLDER..."
    ),
    out: Path = _OUT,
) -> None:
    """Append plain PEFT LoRA adapters of the same encoder as experts.

    Their gates are 0, so nothing changes until `loradar grow --expert N` has trained them (with
    --gates-only: the gates alone).

    Example: `loradar experts import runs/mine adapters/hifigan -o runs/more`
    """
    from loradar.moe_lora import import_expert

    folder, detector = _to_change(model, out)
    numbers = [import_expert(detector.mixture, adapter) for adapter in adapters]
    pairs = zip(numbers, adapters, strict=True)
    what = ", ".join(f"{number} ({adapter.resolve().name})" for number, adapter in pairs)
    _save(detector, folder, out, f"Imported, with gates at 0: {what}.")


@app.command("export")
def export(
    model: Path = _MODEL,
    number: int = typer.Argument(..., help="Number of the expert, from 0.", metavar="N"),
    out: Path = typer.Option(..., "-o", "--out", metavar="FOLDER", help="The adapter."),
) -> None:
    """Write one expert as a plain PEFT LoRA adapter of the model's encoder, its gate taken as 1.

    Example: `loradar experts export runs/mine 3 -o adapters/expert3`
    """
    from loradar.cli.console import note
    from loradar.cli.models import new_folder
    from loradar.moe_lora import export_expert

    new_folder(out, "adapter_config.json")
    detector = _detector(model)
    encoder: Any = detector.config.encoder
    export_expert(detector.mixture, number, out, base=encoder.id)
    if detector.config.trains_feature_encoder:
        note(f"{model}: its encoder was trained below the experts too, which no adapter holds")
    note(f"wrote {out}")


def _detector(model: Path) -> Any:
    """Load a detector that has experts."""
    from loradar.cli.models import model_folder
    from loradar.detector.checkpoint import load_detector
    from loradar.errors import InputError

    detector = load_detector(model_folder(model))
    if detector.mixture is None:
        mode = detector.config.adaptation.mode
        raise InputError(f"{model}: has no experts (mode {mode}); modes moe_lora and lora have")
    return detector


def _to_change(model: Path, out: Path) -> tuple[Path, Any]:
    from loradar.cli.models import model_folder, new_folder

    folder = model_folder(model)
    new_folder(out)
    return folder, _detector(model)


def _save(detector: Detector, source: Path, out: Path, what: str) -> None:
    """Write the changed model, with what of its folder still holds."""
    from loradar.cli.console import note
    from loradar.cli.models import copy_beside
    from loradar.detector.checkpoint import save_detector
    from loradar.files import write_text

    copy_beside(source, out)
    card = source / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else "# A changed detector\n"
    write_text(
        out / "README.md",
        f"{text.rstrip()}\n\n## Experts changed\n\n{what} From {source.resolve().name}; the "
        "calibration is that model's.\n",
    )
    save_detector(detector, out)
    note(f"wrote {out}")


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
