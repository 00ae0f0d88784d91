"""What the recipes of training and of pre-training share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from loradar.audio.graft import WHOLE


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _rising(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError("give the least depth first")
    return span


def _as_text(value: Any) -> Any:
    """Refuse numbers by name: YAML reads 0121 as 81, and a table holds text."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, int | float):
            raise ValueError(f"{each} is no text: write it in quotes, '{each}'")
    return value


_Text = Annotated[str | list[str], BeforeValidator(_as_text)]
Conditions = dict[str, _Text]
Workers = Annotated[int, Field(ge=0, le=64)] | Literal["auto"]
_Depth = Annotated[float, Field(gt=0, le=1)]
# Left out of a saved recipe where it is not given, so that recipes from before it keep their hash.
GraftDepth = Annotated[
    tuple[_Depth, _Depth],
    AfterValidator(_rising),
    Field(exclude_if=lambda depth: depth == WHOLE),
]


class MoreData(_Section):
    """Further training clips, mixed into the draws.

    Attributes
    ----------
    corpus, path
        As in `DataConfig`.
    train : dict
        As in `DataConfig`.
    share : float
        Share of the draws that come from here.
    balance : {"class", "corpus", "pair"}, optional
        As in `DataConfig`; by default as there.
    """

    corpus: str = "manifest"
    path: str
    train: Conditions = {"split": "train"}
    share: float = Field(gt=0, lt=1)
    balance: Literal["class", "corpus", "pair"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _own_split(cls, values: Any) -> Any:
        return with_splits(values, "train")


def with_splits(values: Any, *names: str) -> Any:
    """Naming another column must not let eval clips into training."""
    if not isinstance(values, dict):
        return values
    given = {name: values[name] for name in names if isinstance(values.get(name), dict)}
    return {**values, **{name: {"split": name, **rows} for name, rows in given.items()}}


def conditions(rows: Conditions) -> Conditions:
    """Return the conditions of a set for `Manifest.where`, without those that allow any."""
    return {k: v for k, v in rows.items() if v not in ("*", ["*"])}
