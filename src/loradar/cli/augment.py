"""``loradar augment``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from loradar.audio.augmentation import AugmentationStep


def augment(
    clip: Path = typer.Argument(..., help="An audio file of any kind.", metavar="CLIP"),
    out: Path = typer.Option(..., "-o", "--out", metavar="FOLDER", help="Folder to make."),
    effects: str = typer.Option(
        "all", "--effects", metavar="LIST", help="Names of variants, with commas; or `all`."
    ),
    recipe: Path | None = typer.Option(
        None, "--recipe", metavar="FILE", help="Take the steps of this recipe's augmentation."
    ),
    noises: Path | None = typer.Option(
        None, "--noises", metavar="FOLDER", help="Recorded noise or music, for `background`."
    ),
    rooms: Path | None = typer.Option(
        None, "--rooms", metavar="FOLDER", help="Room responses, for `recorded_room`."
    ),
    seconds: float = typer.Option(8.0, "--seconds", min=0.1, help="Use so much of the clip."),
    seed: int = typer.Option(0, "--seed", min=0, help="Equal seeds give equal draws."),
    as_json: bool = typer.Option(False, "--json", help="Print what was made as JSON."),
) -> None:
    """Write a clip after each augmentation, to hear and to see.

    FOLDER gets a WAV for each, `sheet.png` with their spectrograms, and `index.html`, a page
    with players. With `--recipe`: each of its steps, and the whole chain three times, as training
    draws it.

    Example: `loradar augment speech.flac -o heard/ --effects opus,room,rawboost_4`
    """
    import json

    from pydantic import ValidationError

    from loradar.audio.augmentation import Augmentation
    from loradar.audio.augmentation.catalogue import catalogue, recipe_steps
    from loradar.audio.reading import load_audio
    from loradar.cli.console import note, reporting, write_output
    from loradar.errors import ConfigError, InputError
    from loradar.evaluation.listening import claim, take, take_chain, write_folder

    chain = None
    if recipe is not None:
        from loradar.training.recipe import read_recipe

        config = read_recipe(recipe).augmentation
        if not config.steps:
            raise InputError(f"{recipe}: its augmentation has no steps")
        chain, steps = Augmentation(config), recipe_steps(config)
    else:
        try:
            steps = catalogue(*(None if path is None else str(path) for path in (noises, rooms)))
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ConfigError(message) from None
    chosen = _chosen(steps, effects)
    samples = load_audio(clip, duration_s=seconds)
    claim(out)
    takes = take(samples, chosen, seed=seed)
    if chain is not None and effects == "all":
        takes += take_chain(samples, chain, seed=seed)
    about = [
        f"{clip.name}, {len(samples) / 16_000:.2f} s at 16 kHz; seed {seed}. Below each clip: what "
        "its effect draws from, and its time on one core.",
    ]
    with reporting() as progress:
        write_folder(
            out, f"Augmentations of {clip.name}", samples, takes, about=about, progress=progress
        )
    if as_json:
        made = [
            {
                "name": one.name,
                "path": str(out / f"{one.name}.wav"),
                "settings": chosen[one.name].params if one.name in chosen else None,
                "milliseconds": one.milliseconds,
            }
            for one in takes
        ]
        write_output(json.dumps({"page": str(out / "index.html"), "made": made}))
    note(f"wrote {out / 'index.html'}: {len(takes)} augmentations of {clip.name}")


def _chosen(steps: dict[str, AugmentationStep], effects: str) -> dict[str, AugmentationStep]:
    """Return the steps that were asked for; an effect's own name stands for all its variants."""
    from loradar.errors import ConfigError

    if effects == "all":
        return steps
    chosen: dict[str, AugmentationStep] = {}
    for name in (part.strip() for part in effects.split(",")):
        if not name:
            continue
        found = {name: steps[name]} if name in steps else {}
        found = found or {key: step for key, step in steps.items() if step.name == name}
        if not found:
            hint = {"background": " (give --noises)", "recorded_room": " (give --rooms)"}
            raise ConfigError(
                f"no effect {name!r}{hint.get(name, '')}; there are {', '.join(steps)}"
            )
        chosen.update(found)
    if not chosen:
        raise ConfigError("--effects: name at least one effect, or all")
    return chosen
