from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from flask.json.tag import TaggedJSONSerializer
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from latchkey_client.data import PACKED, changes, load

JSON = TaggedJSONSerializer()

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
    struct = changes(Struct(), values, JSON.dumps)
    return Struct.FromString(struct.SerializeToString())


@pytest.mark.parametrize("value", NATIVE, ids=repr)
def test_json_is_stored_as_it_is(value: Any) -> None:
    assert MessageToDict(stored({"key": value})) == {"key": value}


@pytest.mark.parametrize("value", [*NATIVE, *PACKED_ONES], ids=lambda value: repr(value)[:20])
def test_every_value_comes_back_equal_and_of_its_type(value: Any) -> None:
    back = load(stored({"key": value}), JSON.loads)["key"]
    assert repr(back) == repr(value)


def test_values_that_are_nested_deeper_than_the_server_takes_come_back() -> None:
    value: Any = "deep"
    for _ in range(40):
        value = [value]
    struct = stored({"key": value})
    assert load(struct, JSON.loads) == {"key": value}
    assert struct.fields["key"].HasField("struct_value")


def test_what_other_languages_store_is_read() -> None:
    struct = Struct()
    struct.update({"n": 2, "half": 0.5, "list": [1, None], PACKED: "mine"})
    expected = {"n": 2, "half": 0.5, "list": [1, None], PACKED: "mine"}
    assert load(struct, JSON.loads) == expected


def test_changes_name_what_changed_alone() -> None:
    before = stored({"same": [1], "other": 1, "gone": 1, "none": None})
    merge = changes(before, {"same": [1], "other": 2, "none": None, "new": "x"}, JSON.dumps)
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
        merge = changes(struct, after, json.dumps)
        for key, value in merge.fields.items():
            if value.HasField("null_value"):
                del struct.fields[key]
            else:
                struct.fields[key].CopyFrom(value)
        struct = Struct.FromString(struct.SerializeToString())
        assert load(struct, json.loads) == after, f"from {before}"
        before = after
