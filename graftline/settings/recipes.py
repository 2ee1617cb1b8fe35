"""Recipes by the number of images: a table in a configuration, of which one row applies."""

from typing import Any

TABLE, UP_TO = "recipes", "up_to"


def resolved(values: dict[str, Any], images: int | None) -> dict[str, Any]:
    """Returns a configuration with the row that applies instead of the table; its other values override the row.

    Args:
      values: those of a configuration, perhaps with a table: rows in ascending order of `up_to`, the last one without it.
      images: how many there are; if that is unknown, the last row applies.

    Raises:
      ValueError: if the table is invalid.
    """
    rest = {key: value for key, value in values.items() if key != TABLE}
    if TABLE not in values:
        return rest
    return _merged(_row(values[TABLE], images), rest)


def _row(table: Any, images: int | None) -> dict[str, Any]:
    """Returns the first row for this number of images."""
    if not isinstance(table, list) or not table or not all(isinstance(row, dict) for row in table):
        raise ValueError(f"`{TABLE}` must be a list of rows, such as `- {{{UP_TO}: 1000, model: {{image_size: 224}}}}`")
    *sized, last = table
    limits = [row.get(UP_TO) for row in sized]
    if UP_TO in last or not all(isinstance(limit, int) for limit in limits) or limits != sorted(limits):
        raise ValueError(f"each row of `{TABLE}` except the last must have a number `{UP_TO}`, in ascending order")
    row = next((row for row in sized if images is not None and images <= row[UP_TO]), last)
    return {key: value for key, value in row.items() if key != UP_TO}


def _merged(row: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Returns a row overridden by values, section by section."""
    merged = row | values
    for key in row.keys() & values.keys():
        if isinstance(row[key], dict) and isinstance(values[key], dict):
            merged[key] = _merged(row[key], values[key])
    return merged
