"""Python values as a session's data, which is JSON that app servers in any language read.

`to_data` keeps what JSON can say, dates as ISO text, and refuses the rest, as the clients of other
languages do.

The frameworks' sessions have a serializer of their own for what JSON has not. A value that JSON has
is stored as it is; any other (None, which means removal there; a number that a double cannot hold
or that would come back as another type; what JSON knows nothing of) is packed by that into text,
alone in an object under `PACKED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

PACKED = "latchkey.packed"

_EXACT = 2**53
_DEPTH = 30  # Of the server's 32, of which the data itself and the packed object take two.


@dataclass(frozen=True)
class Codec:
    """A framework's serializer, of one value."""

    pack: Callable[[Any], str]
    unpack: Callable[[str], Any]
    fingerprint: Callable[[Any], str | bytes]
    """The same for values that are the same, where `pack` may add a time or a salt."""


def to_data(values: Mapping[str, Any]) -> Struct:
    """The `data` of a request. What JSON can say is kept to the letter, a date or a datetime as
    its ISO text.

    Raises TypeError for what JSON cannot say, and ValueError for what a JSON number or text cannot
    hold: NaN, an int beyond 2**53, half a surrogate pair; both name the place.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"data is a mapping, not {type(values).__name__}")
    return Struct(fields={_key(key, "data"): _strict(values[key], f"data.{key}") for key in values})


def from_data(data: Struct) -> dict[str, Any]:
    """A session's `data` as Python values; whole numbers are ints."""
    return {key: _value_to_json(value) for key, value in data.fields.items()}


def _strict(value: Any, path: str) -> Value:
    if value is None or isinstance(value, bool):
        return _json_to_value(value)
    if isinstance(value, str):
        text = str.__str__(value)
        if not _is_text(text):
            raise ValueError(f"{path} has half a surrogate pair, which no JSON text holds")
        return Value(string_value=text)
    if isinstance(value, (int, float)):
        if not abs(value) <= _EXACT and isinstance(value, int):
            raise ValueError(f"{path} is an int beyond 2**53, which no JSON number holds exactly")
        if not isfinite(value):
            raise ValueError(f"{path} is {value!r}, which is no JSON number")
        return Value(number_value=value)
    if isinstance(value, date):  # And datetime, which is one.
        return Value(string_value=value.isoformat())
    if isinstance(value, Mapping):
        fields = {_key(key, path): _strict(value[key], f"{path}.{key}") for key in value}
        return Value(struct_value=Struct(fields=fields))
    if isinstance(value, (list, tuple)):
        items = [_strict(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return Value(list_value=ListValue(values=items))
    raise TypeError(f"{path} is {type(value).__name__}, which JSON does not have")


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key in {path} is {type(key).__name__}; JSON has text for keys")
    text = str.__str__(key)
    if not _is_text(text):
        raise ValueError(f"a key in {path} has half a surrogate pair")
    return text


def changes(before: Struct, after: Mapping[Any, Any], codec: Codec) -> Struct:
    """What UpdateSession has to merge into `before` to make it `after`. Values are compared, not
    objects: a change within one is noticed."""
    merge = Struct()
    named = {_name(key): value for key, value in after.items()}
    for key in before.fields.keys() - named.keys():
        merge.fields[key].null_value = NULL_VALUE
    for key, value in named.items():
        stored = _to_value(value, codec)
        if key not in before.fields or not _is_same(before.fields[key], stored, value, codec):
            merge.fields[key].CopyFrom(stored)
    return merge


def load(data: Struct, codec: Codec) -> dict[str, Any]:
    """The values that `changes` stored, or that app servers in other languages did."""
    return {key: _load(value, codec) for key, value in data.fields.items()}


def _name(key: object) -> str:
    """A key as the JSON of Python writes it."""
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return float.__repr__(key)
    return _key(key, "the session")


def _is_same(before: Value, after: Value, value: Any, codec: Codec) -> bool:
    if before == after:
        return True
    # What was stored may come back as what JSON has: Django's JSON makes tuples lists.
    packed = _packed_in(before)
    if packed is None:
        return False
    return codec.fingerprint(codec.unpack(packed)) == codec.fingerprint(value)


def _packed_in(value: Value) -> str | None:
    if value.HasField("struct_value"):
        fields = value.struct_value.fields
        if len(fields) == 1 and PACKED in fields:
            return fields[PACKED].string_value
    return None


def _to_value(value: Any, codec: Codec) -> Value:
    if _is_json(value, _DEPTH):
        return _json_to_value(value)
    packed = Struct()
    packed.fields[PACKED].string_value = codec.pack(value)
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


def _load(value: Value, codec: Codec) -> Any:
    packed = _packed_in(value)
    return _value_to_json(value) if packed is None else codec.unpack(packed)


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
