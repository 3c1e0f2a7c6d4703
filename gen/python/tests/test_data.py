from __future__ import annotations

import json
import math
import random
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from flask.json.tag import TaggedJSONSerializer
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from latchkey_client.data import PACKED, Codec, changes, from_data, load, to_data

TAGGED = TaggedJSONSerializer()
JSON = Codec(TAGGED.dumps, TAGGED.loads, TAGGED.dumps)
PLAIN = Codec(json.dumps, json.loads, json.dumps)

NATIVE = ["", "한글 🧑‍🚀", True, False, 0, -(2**53), 2**53, 1.5, [], {}, [1, None, {"a": [None]}]]
PACKED_ONES = [
    None,
    1.0,
    -0.0,
    2**53 + 1,
    10**400,
    math.inf,
    (1, 2),
    [(1,)],
    b"bytes",
    "\ud800",
    {PACKED: "x"},
    {"a": {PACKED: "x"}},
]


def stored(values: dict[str, Any]) -> Struct:
    struct = changes(Struct(), values, JSON)
    return Struct.FromString(struct.SerializeToString())


@pytest.mark.parametrize("value", NATIVE, ids=repr)
def test_json_is_stored_as_it_is(value: Any) -> None:
    assert MessageToDict(stored({"key": value})) == {"key": value}


@pytest.mark.parametrize("value", [*NATIVE, *PACKED_ONES], ids=lambda value: repr(value)[:20])
def test_every_value_comes_back_equal_and_of_its_type(value: Any) -> None:
    back = load(stored({"key": value}), JSON)["key"]
    assert repr(back) == repr(value)


def test_values_that_are_nested_deeper_than_the_server_takes_come_back() -> None:
    value: Any = "deep"
    for _ in range(40):
        value = [value]
    struct = stored({"key": value})
    assert load(struct, JSON) == {"key": value}
    assert struct.fields["key"].HasField("struct_value")


def test_what_other_languages_store_is_read() -> None:
    struct = Struct()
    struct.update({"n": 2, "half": 0.5, "list": [1, None], PACKED: "mine"})
    expected = {"n": 2, "half": 0.5, "list": [1, None], PACKED: "mine"}
    assert load(struct, JSON) == expected


def test_changes_name_what_changed_alone() -> None:
    before = stored({"same": [1], "other": 1, "gone": 1, "none": None})
    merge = changes(before, {"same": [1], "other": 2, "none": None, "new": "x"}, JSON)
    assert MessageToDict(merge) == {"other": 2, "gone": None, "new": "x"}


def random_json(rng: random.Random, depth: int) -> Any:
    kinds = ["text", "number", "float", "bool", "none", *(["list", "dict"] * 2 if depth else [])]
    kind = rng.choice(kinds)
    if kind == "text":
        return "".join(rng.choice('aé한😀\0\ud800"\\') for _ in range(rng.randrange(4)))
    if kind == "number":
        return rng.choice([1, -1]) * rng.getrandbits(rng.randrange(80))
    if kind == "float":
        return rng.choice([rng.random(), float(rng.getrandbits(60)), 1e308, 5e-324])
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "none":
        return None
    if kind == "list":
        return [random_json(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {
        rng.choice(["a", "b", "", PACKED, "é"]): random_json(rng, depth - 1)
        for _ in range(rng.randrange(4))
    }


def test_any_json_comes_back_and_any_change_is_merged() -> None:
    rng = random.Random(7)
    before: dict[str, Any] = {}
    struct = Struct()
    for _ in range(500):
        after = {key: random_json(rng, 3) for key in "abcde" if rng.random() < 0.7}
        merge = changes(struct, after, PLAIN)
        for key, value in merge.fields.items():
            if value.HasField("null_value"):
                del struct.fields[key]
            else:
                struct.fields[key].CopyFrom(value)
        struct = Struct.FromString(struct.SerializeToString())
        assert load(struct, PLAIN) == after, f"from {before}"
        before = after


class Tea(str, Enum):
    GREEN = "green"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, value) for value in [*NATIVE, None, 1.0]),
        (Tea.GREEN, "green"),
        ((1, [2]), [1, [2]]),
        (date(2026, 11, 29), "2026-11-29"),
        (
            datetime(2026, 11, 29, 1, 2, 3, 4, tzinfo=timezone.utc),
            "2026-11-29T01:02:03.000004+00:00",
        ),
        ({"a": {"constructor": 1, "__proto__": 2}}, {"a": {"constructor": 1, "__proto__": 2}}),
    ],
    ids=repr,
)
def test_data_keeps_what_json_can_say_and_dates_as_iso_text(value: Any, expected: Any) -> None:
    assert from_data(to_data({"key": value})) == {"key": expected}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"x", r"^data\.key is bytes"),
        ({1}, "set"),
        (Decimal(1), "Decimal"),
        (UUID(int=1), "UUID"),
        (1j, "complex"),
        ([object()], r"^data\.key\[0\] is object"),
        ({1: "a"}, "a key in data.key is int"),
        (2**53 + 1, "2\\*\\*53"),
        (math.nan, "no JSON number"),
        (math.inf, "no JSON number"),
        ({"a": "\ud800"}, r"^data\.key\.a has half"),
        ({"\ud800": 1}, "half"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_data_refuses_what_json_cannot_say_by_its_place(value: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        to_data({"key": value})


def test_a_packed_value_that_is_the_same_is_no_change_however_it_is_packed() -> None:
    count = iter(range(100))
    codec = Codec(
        lambda value: f"{next(count)} {json.dumps(value)}",
        lambda packed: json.loads(packed.partition(" ")[2]),
        json.dumps,
    )
    before = changes(Struct(), {"none": None, "big": 10**30}, codec)
    assert not changes(before, {"none": None, "big": 10**30}, codec).fields
    assert list(changes(before, {"none": None, "big": 10**31}, codec).fields) == ["big"]


@pytest.mark.parametrize("key", [1, 1.5, True, None])
def test_a_key_is_stored_as_the_json_of_python_writes_it(key: Any) -> None:
    struct = changes(Struct(), {key: "x"}, JSON)
    assert list(struct.fields) == list(json.loads(json.dumps({key: "x"})))
