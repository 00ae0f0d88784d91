"""What a grid consists of: variants of a recipe, folds of the benchmark, seeds."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loradar.errors import ConfigError, InputError
from loradar.evaluation.compare.runs import Kind
from loradar.evaluation.suites.mini import FOLDS, HUMAN, fold_of
from loradar.training.recipe import parse_recipe, read_values
from loradar.training.validation import explain

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Baseline = Literal["corpus_prior", "trivial_features", "lfcc_gmm"]
Overrides = tuple[str, ...]
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Variant(_Section):
    """One row of the comparison. In YAML a plain list stands for its overrides.

    Attributes
    ----------
    recipe : str, optional
        Instead of the grid's, for what overrides cannot reach (another encoder type).
    overrides : sequence of str
        ``KEY=VALUE``, as for ``loradar train --set``.
    """

    recipe: str | None = None
    overrides: Overrides = ()

    @model_validator(mode="before")
    @classmethod
    def _plain_list(cls, values: Any) -> Any:
        return {"overrides": values or []} if isinstance(values, list | None) else values


class Fold(_Section):
    """One part of the benchmark to train and judge on.

    Attributes
    ----------
    suite : str
        A suite of ``loradar evaluate``.
    on : str, optional
        The benchmark's table. Default: the recipe's ``data.path``.
    overrides : sequence of str
        As in `Variant`; applied before the variant's.
    values : dict
        What ``{NAME}`` in overrides stands for in this fold.
    """

    suite: str
    on: str | None = None
    overrides: Overrides = ()
    values: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _on_is_a_name(cls, values: Any) -> Any:
        # YAML 1.1 reads a bare "on" as True.
        if not isinstance(values, dict):
            return values
        return {"on" if key is True else key: value for key, value in values.items()}


class Grid(_Section):
    """A grid of runs. Unknown keys are errors.

    ``{variant}``, ``{fold}``, ``{seed}``, ``{groups}`` (human and the groups that the fold's suite
    trains on) and the fold's ``values`` are filled into overrides and recipe names.

    Attributes
    ----------
    recipe : str, optional
        Recipe of all variants that name none; relative to the grid's file.
    overrides : sequence of str
        Applied first, to every run.
    variants, folds : dict
        By name; names are those of folders.
    seeds : sequence of int
        Every variant is trained on every fold with each.
    models : dict
        Name -> model folder, scored as it is on every fold.
    baselines : sequence of str
        Rows that need no model; left out on folds that train on nothing.
    """

    recipe: str | None = None
    overrides: Overrides = ()
    variants: dict[Name, Variant] = {}
    folds: dict[Name, Fold] = Field(min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0,), min_length=1)
    models: dict[Name, str] = {}
    baselines: tuple[Baseline, ...] = ("corpus_prior", "trivial_features", "lfcc_gmm")

    @model_validator(mode="after")
    def _each_once(self) -> Grid:
        for given in (
            [*self.variants, *self.models, *self.baselines],
            [f"seed {seed}" for seed in self.seeds],
        ):
            twice = [one for one in given if given.count(one) > 1]
            if twice:
                raise ValueError(f"{twice[0]} comes twice")
        return self


@dataclass(frozen=True)
class Cell:
    """One run: a variant on a fold with a seed.

    Attributes
    ----------
    variant, fold : str
        Names.
    seed : int
        0 for models and baselines.
    kind : {"train", "model", "baseline"}
        What is done.
    suite, on : str
        What it is judged by.
    recipe : dict or None
        The values to train with, defaults not filled in.
    model : str or None
        The folder to score.
    """

    variant: str
    fold: str
    seed: int
    kind: Kind
    suite: str
    on: str
    recipe: dict[str, Any] | None = None
    model: str | None = None

    def folder(self, root: Path) -> Path:
        """Return its place in the grid's folder."""
        return root / self.variant / self.fold / str(self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def read_grid(path: Path | str) -> list[Cell]:
    """Read a grid's YAML file and lay out its runs.

    Parameters
    ----------
    path : Path or str
        The file; see `Grid`. Recipes are relative to it, data to the current folder.

    Returns
    -------
    list of Cell
        Baselines and models first, then the variants, fold by fold within each seed, so that
        every variant gets its first seed before any gets its second.

    Raises
    ------
    InputError
        A file is missing or not YAML.
    ConfigError
        A key is unknown, a value not valid, or a recipe with its overrides is not; says where.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the grid: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML grid: {' '.join(str(error).split())}") from None
    try:
        grid = Grid.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error)}") from None
    return cells_of(grid, path.parent, source=str(path))


def cells_of(grid: Grid, folder: Path, source: str = "grid") -> list[Cell]:
    """Lay out a grid's runs; ``folder`` is what its recipes are relative to. See `read_grid`."""
    cells: list[Cell] = []
    recipes: dict[tuple[int, str, str], dict[str, Any]] = {}
    tables: dict[str, str] = {}
    for fold_name, fold in grid.folds.items():
        try:
            groups = FOLDS[fold_of(fold.suite)]
        except ConfigError as error:
            raise ConfigError(f"{source}: folds.{fold_name}: {error}") from None
        for seed, (name, variant) in product(grid.seeds, grid.variants.items()):
            where = f"{source}: {name} on {fold_name}"
            values = _values(grid, name, variant, fold_name, fold, folder, where, seed)
            parse_recipe(values, where)
            recipes[seed, name, fold_name] = values
        tables[fold_name] = _table(grid, fold_name, fold, recipes, source)
        suite, on = fold.suite, tables[fold_name]
        if groups:
            cells += [Cell(one, fold_name, 0, "baseline", suite, on) for one in grid.baselines]
        cells += [
            Cell(name, fold_name, 0, "model", suite, on, model=model)
            for name, model in grid.models.items()
        ]
    # Sorting is stable: fold by fold within each seed, in the order of the file.
    for seed, name, fold_name in sorted(recipes, key=lambda key: grid.seeds.index(key[0])):
        values = recipes[seed, name, fold_name]
        values |= {"seed": seed, "name": f"{name}_{fold_name}_{seed}"}
        suite, on = grid.folds[fold_name].suite, tables[fold_name]
        cells.append(Cell(name, fold_name, seed, "train", suite, on, recipe=values))
    for name, model in grid.models.items():
        if not Path(model).is_dir():
            raise InputError(f"{source}: models.{name}: {model}: no such folder")
    if not cells:
        raise ConfigError(f"{source}: nothing to run: give variants, models or baselines")
    return cells


def _values(
    grid: Grid,
    name: str,
    variant: Variant,
    fold_name: str,
    fold: Fold,
    folder: Path,
    where: str,
    seed: int,
) -> dict[str, Any]:
    """Return the recipe's values of a variant on a fold with a seed."""
    known = {
        **fold.values,
        "variant": name,
        "fold": fold_name,
        "seed": str(seed),
        "groups": f"[{', '.join([HUMAN, *FOLDS[fold_of(fold.suite)]])}]",
    }

    def fill(text: str) -> str:
        for found in _PLACEHOLDER.findall(text):
            if found not in known:
                raise ConfigError(
                    f"{where}: {{{found}}} has no value: give folds.{fold_name}.values.{found}"
                )
            text = text.replace(f"{{{found}}}", known[found])
        return text

    recipe = variant.recipe or grid.recipe
    if recipe is None:
        raise ConfigError(f"{where}: no recipe: give one to the grid or to the variant")
    path = folder / fill(recipe)
    overrides = [fill(text) for text in (*grid.overrides, *fold.overrides, *variant.overrides)]
    try:
        return read_values(path, overrides)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _table(
    grid: Grid,
    fold_name: str,
    fold: Fold,
    recipes: dict[tuple[int, str, str], dict[str, Any]],
    source: str,
) -> str:
    """Return where the fold's table of clips is."""
    if fold.on is not None:
        return fold.on
    paths = {str(values["data"]["path"]) for key, values in recipes.items() if key[2] == fold_name}
    if len(paths) != 1:
        found = "the recipes name several" if paths else "there is no recipe to take it from"
        raise ConfigError(f"{source}: folds.{fold_name}: give on, the table of clips: {found}")
    return paths.pop()
