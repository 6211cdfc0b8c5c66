"""Rows of plain values as a DataFrame."""

from __future__ import annotations

from typing import Any

import pandas as pd


def tidy(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a DataFrame of nullable columns: integers stay exact, unknown values are ``NA``."""
    names = list(rows[0]) if rows else []
    return pd.DataFrame({name: _column([row[name] for row in rows]) for name in names})


def _column(values: list[Any]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if str in kinds:
        return pd.array(values, dtype="string")
    if kinds == {bool}:
        return pd.array(values, dtype="boolean")
    return pd.array(values, dtype="Int64" if kinds == {int} else "Float64")
