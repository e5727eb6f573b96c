"""Collections as pandas data frames and as Arrow tables."""

from __future__ import annotations

import json

from slurmpy._columns import DURATIONS, LARGE, MOMENT
from slurmpy._convert import Unlimited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from slurmpy._columns import Array, Records
    from slurmpy._fields import Field

__all__ = ["arrow", "dataframe"]

#: The attributes with few values, which are categories.
_CATEGORIES = {
    "account",
    "cluster",
    "group_name",
    "partition",
    "qos",
    "state",
    "state_reason",
    "user_name",
}

#: The first pandas with a type of its own for texts.
_WITH_STR = 3


def dataframe(records: Records, fields: Sequence[Field[Any]]) -> Any:
    """Attributes as a pandas data frame, one row for each record."""
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {}
    for field in fields:
        if field.name in _CATEGORIES:
            which, values = _categories(records, field)
            categories = _texts(pd, pd.Index, values)
            columns[field.name] = pd.Categorical.from_codes(which, categories=categories)
            continue
        if field.annotation.startswith("str"):
            codes, values = records.encoded(field)
            texts = _texts(pd, pd.Series, values)
            which = slice(None) if codes is None else records.codes(codes)
            columns[field.name] = pd.Series(texts.array[which], dtype=texts.dtype)
            continue
        column = records.array(field)
        if field.unit == MOMENT:
            column = pd.DatetimeIndex(column).tz_localize("UTC")
        elif field.unit in DURATIONS and column.dtype.kind == "m":
            column = column.astype("m8[s]")
        elif isinstance(column, np.ma.MaskedArray):
            mask = np.ma.getmaskarray(column)
            nullable = {
                "b": pd.arrays.BooleanArray,
                "f": pd.arrays.FloatingArray,
            }.get(column.dtype.kind, pd.arrays.IntegerArray)
            column = nullable(column.data, mask)
        elif column.dtype == object:
            column = pd.Series(column, dtype=object)
        columns[field.name] = column
    return pd.DataFrame(columns, index=pd.RangeIndex(len(records)), copy=False)


def _texts(pd: Any, make: Any, values: Any) -> Any:
    """Texts in pandas' type for them (from 3 on), which has no room for what is no UTF-8."""
    has_str = int(pd.__version__.partition(".")[0]) >= _WITH_STR
    return make(values, dtype="str" if has_str and _is_utf8(values) else object)


def _is_utf8(values: Iterable[str | None]) -> bool:
    """Whether texts have no bytes in them that are not UTF-8."""
    try:
        "".join(filter(None, values)).encode()
    except UnicodeEncodeError:
        return False
    return True


def arrow(records: Records, fields: Sequence[Field[Any]]) -> Any:
    """Attributes as an Arrow table, one row for each record."""
    import pyarrow as pa

    columns = {field.name: _arrow_column(pa, records, field) for field in fields}
    return pa.table(columns)


def _arrow_column(pa: Any, records: Records, field: Field[Any]) -> Any:
    """An attribute as an Arrow array."""
    import numpy as np

    if field.name in _CATEGORIES:
        which, values = _categories(records, field)
        indices = pa.array(which.astype(np.int32), mask=which < 0)
        texts = pa.array(values, pa.string())
        return pa.DictionaryArray.from_arrays(indices, texts)
    annotation = field.annotation.removesuffix(" | None")
    if field.unset is not None or annotation in ("int", "float", "bool"):
        return _arrow_numbers(pa, records.array(field))
    codes, values = records.encoded(field)
    kind, values = _arrow_kind(pa, field, annotation, values)
    column = pa.array(values, kind)
    return column if codes is None else column.take(pa.array(records.codes(codes)))


def _arrow_numbers(pa: Any, column: Array) -> Any:
    """Numbers, moments or durations as an Arrow array."""
    import numpy as np

    if column.dtype.kind in "Mm":
        unset, is_moment = np.isnat(column), column.dtype.kind == "M"
        seconds = column.astype("M8[s]" if is_moment else "m8[s]").view(np.int64)
        # DuckDB looks at what is under a null, too, and takes no NaT.
        numbers = pa.array(np.where(unset, 0, seconds), mask=unset)
        return numbers.cast(pa.timestamp("s", "UTC") if is_moment else pa.duration("s"))
    if column.dtype == object:
        # Larger than any integer of Arrow's.
        return pa.array([it if it is None else float(it) for it in column], pa.float64())
    if isinstance(column, np.ma.MaskedArray):
        return pa.array(column.data, mask=np.ma.getmaskarray(column))
    return pa.array(column)


def _arrow_kind(
    pa: Any, field: Field[Any], annotation: str, values: list[Any]
) -> tuple[Any, list[Any]]:
    """The Arrow type of an attribute, and its values in the form that this takes."""
    if annotation == "list[str]":
        return pa.list_(pa.string()), [it and list(map(_text, it)) for it in values]
    if annotation == "dict[str, int]":
        pairs = [it and [(_text(key), _fitting(n)) for key, n in it.items()] for it in values]
        return pa.map_(pa.string(), pa.int64()), pairs
    if field.unit in DURATIONS:
        scale = 60 if field.unit == "minutes" else 1
        limited = [None if isinstance(it, Unlimited) or it is None else it * scale for it in values]
        return pa.duration("s"), limited
    return pa.string(), list(map(_text, values))


def _fitting(number: int) -> int | None:
    """A number that 64 bits have."""
    return number if number < LARGE else None


def _text(value: Any) -> Any:
    """A value as UTF-8 text, which is all that Arrow has; as JSON where it is no text."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text


def _categories(records: Records, field: Field[Any]) -> tuple[Array, list[str]]:
    """The number of a value for each record, -1 for None, and the values, each once.

    They are UTF-8: of other categories, pandas could neither merge nor compare frames.
    """
    import numpy as np

    codes, values = records.encoded(field)
    numbers: dict[str, int] = {}
    own = np.array(
        [-1 if it is None else numbers.setdefault(_text(it), len(numbers)) for it in values],
        dtype=np.int64,
    )
    which = own if codes is None else own[records.codes(codes)]
    return which, list(numbers)
