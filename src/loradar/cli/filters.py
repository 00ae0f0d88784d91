"""``--where COLUMN=VALUE,...``: which rows a command works on."""

from __future__ import annotations

from loradar.errors import InputError


def parse_where(texts: list[str], option: str = "--where") -> dict[str, list[str]]:
    """Read ``split=eval`` or ``attack=A07,A08`` into a mapping for `Manifest.where`.

    ``option`` is the option's name, for messages.

    ``option`` is what messages call them.

    Raises
    ------
    InputError
        A text is not COLUMN=VALUE[,VALUE...], or a column comes twice.
    """
    where: dict[str, list[str]] = {}
    for text in texts:
        column, equals, values = text.partition("=")
        column = column.strip()
        if not equals or not column:
            raise InputError(f"{option} {text}: write COLUMN=VALUE[,VALUE...], e.g. split=eval")
        if column in where:
            raise InputError(f"{option} {column} comes twice: list its values with commas")
        where[column] = [value.strip() for value in values.split(",")]
    return where
