"""Python values as a session's data, which is JSON that app servers in any language read.

A value that JSON has is stored as it is. Any other (None, which means removal there; a number
that a double cannot hold or that would come back as another type; what JSON knows nothing of)
is packed into text, alone in an object under `PACKED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

PACKED = "latchkey.packed"

Pack = Callable[[Any], str]
Unpack = Callable[[str], Any]

_EXACT = 2**53
_DEPTH = 30  # Of the server's 32, of which the data itself and the packed object take two.


def changes(before: Struct, after: Mapping[str, Any], pack: Pack) -> Struct:
    """What UpdateSession has to merge into `before` to make it `after`."""
    merge = Struct()
    for key in before.fields.keys() - after.keys():
        merge.fields[key].null_value = NULL_VALUE
    for key, value in after.items():
        stored = _to_value(value, pack)
        if key not in before.fields or before.fields[key] != stored:
            merge.fields[key].CopyFrom(stored)
    return merge


def load(data: Struct, unpack: Unpack) -> dict[str, Any]:
    """The values that `changes` stored, or that app servers in other languages did."""
    return {key: _load(value, unpack) for key, value in data.fields.items()}


def _to_value(value: Any, pack: Pack) -> Value:
    if _is_json(value, _DEPTH):
        return _json_to_value(value)
    packed = Struct()
    packed.fields[PACKED].string_value = pack(value)
    return Value(struct_value=packed)


def _is_json(value: object, depth: int) -> bool:
    """Whether JSON gives it back equal and of the same type; `depth` levels are left."""
    if type(value) is str:
        return _is_text(value)
    if type(value) is bool:
        return True
    if type(value) is int:
        return abs(value) <= _EXACT
    if type(value) is float:
        return isfinite(value) and not value.is_integer()
    if depth == 0:
        return False
    if type(value) is list:
        return all(item is None or _is_json(item, depth - 1) for item in value)
    if type(value) is dict:
        return PACKED not in value and all(
            type(key) is str and _is_text(key) and (item is None or _is_json(item, depth - 1))
            for key, item in value.items()
        )
    return False


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # A lone surrogate.
        return False
    return True


def _json_to_value(value: Any) -> Value:
    if value is None:
        return Value(null_value=NULL_VALUE)
    if isinstance(value, str):
        return Value(string_value=value)
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, (int, float)):
        return Value(number_value=value)
    if isinstance(value, list):
        return Value(list_value=ListValue(values=[_json_to_value(item) for item in value]))
    fields = {key: _json_to_value(item) for key, item in value.items()}
    return Value(struct_value=Struct(fields=fields))


def _load(value: Value, unpack: Unpack) -> Any:
    if value.HasField("struct_value"):
        fields = value.struct_value.fields
        if len(fields) == 1 and PACKED in fields:
            return unpack(fields[PACKED].string_value)
    return _value_to_json(value)


def _value_to_json(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "list_value":
        return [_value_to_json(item) for item in value.list_value.values]
    if kind == "struct_value":
        return {key: _value_to_json(item) for key, item in value.struct_value.fields.items()}
    return None
