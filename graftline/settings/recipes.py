"""Recipes by the number of images: a table in a configuration, one row of which is taken."""

from typing import Any

TABLE, UP_TO = "recipes", "up_to"


def resolved(values: dict[str, Any], images: int | None) -> dict[str, Any]:
    """Returns a configuration with the row that suits it in the table's place; what else it says comes first.

    Args:
      values: of a configuration, perhaps with a table: rows in ascending order of `up_to`, the last of them without one.
      images: how many there are; where nobody knows, the last row is taken.

    Raises:
      ValueError: where the table is none.
    """
    rest = {key: value for key, value in values.items() if key != TABLE}
    if TABLE not in values:
        return rest
    return _merged(_row(values[TABLE], images), rest)


def _row(table: Any, images: int | None) -> dict[str, Any]:
    """Returns the first row for as many images as there are."""
    if not isinstance(table, list) or not table or not all(isinstance(row, dict) for row in table):
        raise ValueError(f"`{TABLE}` must be a list of rows, such as `- {{{UP_TO}: 1000, model: {{image_size: 224}}}}`")
    *sized, last = table
    limits = [row.get(UP_TO) for row in sized]
    if UP_TO in last or not all(isinstance(limit, int) for limit in limits) or limits != sorted(limits):
        raise ValueError(f"each row of `{TABLE}` but the last must have a number `{UP_TO}`, in ascending order")
    row = next((row for row in sized if images is not None and images <= row[UP_TO]), last)
    return {key: value for key, value in row.items() if key != UP_TO}


def _merged(row: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Returns a row with values over it, section by section."""
    merged = row | values
    for key in row.keys() & values.keys():
        if isinstance(row[key], dict) and isinstance(values[key], dict):
            merged[key] = _merged(row[key], values[key])
    return merged
