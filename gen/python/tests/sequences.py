"""Random sequences of what apps do to their session, done to the framework's own and to ours."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

from markupsafe import Markup

Act = Callable[[Any, bool], Any]
"""What a view does to the session; told whether it is the framework's own, whose nested changes
need `modified`. Its answer is compared."""

_LEAVES: list[Any] = [
    *(None, True, False, 0, 1, -7, 2**53, 2**53 + 1, 10**30, 1.0, -0.0, 0.5, math.inf, math.nan),
    *("", "한글 🧑‍🚀", "\ud800", "a\0b", Markup("<b>")),
]
_PYTHON: list[Any] = [
    *(b"\x00\xff", UUID(int=5), datetime(2026, 11, 29, 1, 2, 3, 4, tzinfo=timezone.utc)),
    *({1, 2}, object()),
]
_KEYS = ["a", "b", "cart", "é", "__proto__", "latchkey.packed"]


def value(rng: random.Random, depth: int = 3) -> Any:
    kind = rng.randrange(12)
    if kind == 0:
        return rng.choice(_PYTHON)
    if depth and kind < 3:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if depth and kind == 3:
        return tuple(value(rng, depth - 1) for _ in range(rng.randrange(3)))
    if depth and kind < 6:
        return {rng.choice([*_KEYS, 1]): value(rng, depth - 1) for _ in range(rng.randrange(4))}
    if kind == 6 and rng.randrange(8) == 0:
        deep: Any = "deep"
        for _ in range(40):
            deep = [deep]
        return deep
    return rng.choice(_LEAVES)


def act(rng: random.Random) -> Act:
    """One that any session knows."""
    key, other, new = rng.choice(_KEYS), rng.choice(_KEYS), value(rng)

    def put(session: Any, _: bool) -> None:
        session[key] = new

    def remove(session: Any, _: bool) -> None:
        del session[key]

    def nested(session: Any, own: bool) -> None:
        """As `cart.append(x)`, `cart["tea"] += 1` and `del cart["tea"]` do."""
        held = session.get(key)
        if isinstance(held, list):
            held.append(new) if len(held) < 3 else held.pop(0)
        elif isinstance(held, dict):
            if other in held:
                del held[other]
            else:
                held[other] = new
        else:
            session[key] = {other: [1]}
            session[key][other].append(2)
        if own:
            session.modified = True

    def clear(session: Any, _: bool) -> None:
        session.clear()

    reads: list[Act] = [
        lambda session, _: canonical(session.get(key)),
        lambda session, _: key in session,
        lambda session, _: sorted(session.keys()),
        lambda session, _: canonical(dict(session.items())),
    ]
    writes: list[Act] = [
        lambda session, _: canonical(session.pop(key, "none")),
        lambda session, _: canonical(session.setdefault(key, new)),
        lambda session, _: session.update({key: new, other: 1}),
    ]
    kinds: list[Act] = [put, put, put, remove, nested, nested, nested, clear]
    return rng.choice([*kinds, *reads, *writes])


def canonical(value: Any) -> Any:
    """The value's types and contents; the order of keys is nobody's promise."""
    if isinstance(value, dict):
        return sorted((str(key), type(key).__name__, canonical(value[key])) for key in value)
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [canonical(item) for item in value]
    return type(value).__name__, ascii(value)


def django_act(rng: random.Random) -> Act:
    """One that only Django's sessions know, or as `act`."""
    age = rng.choice([300, 5, 10**10, None, 0, -1, -(10**6)])
    expiry = rng.choice([age, datetime(rng.choice([2020, 2090]), 1, 1, tzinfo=timezone.utc)])
    user = rng.choice(["1", "2"])

    # Django's database store has a key of nothing if these fail halfway, so they fail before.
    def cycle_key(session: Any, _: bool) -> None:
        session.encode(dict(session.items()))
        session.cycle_key()

    def save(session: Any, _: bool) -> None:
        session.encode(dict(session.items()))
        modified = session.modified
        session.save()
        if modified:  # In Django it stays so, which `nested` says to Django's only.
            session.modified = True

    def login(session: Any, own: bool) -> None:
        cycle_key(session, own)
        session["_auth_user_id"] = user

    own: list[Act] = [
        lambda session, _: session.flush(),
        cycle_key,
        lambda session, _: session.set_expiry(expiry),
        save,
        lambda session, _: session.is_empty(),
        lambda session, _: session.get_expire_at_browser_close(),
        lambda session, _: type(session)(session.session_key).delete(),
        login,
    ]
    return rng.choice(own) if rng.randrange(3) == 0 else act(rng)


def flask_act(rng: random.Random) -> Act:
    """One that only Flask's sessions know, or as `act`."""
    user = rng.choice([1, "ann", UUID(int=9)])
    permanent = rng.randrange(2) == 0

    def login(session: Any, _: bool) -> None:
        session["_user_id"] = user

    def lasting(session: Any, _: bool) -> None:
        session.permanent = permanent

    def join(session: Any, _: bool) -> Any:
        return canonical(session | {"q": 1}), canonical(session.copy())

    return rng.choice([login, lasting, join]) if rng.randrange(4) == 0 else act(rng)


def requests_of(rng: random.Random, one: Callable[[random.Random], Act]) -> list[list[Act]]:
    return [[one(rng) for _ in range(rng.randrange(5))] for _ in range(rng.randrange(1, 7))]


def done(acts: list[Act], session: Any, own: bool) -> list[Any]:
    """What a view that does all this sees."""
    seen = []
    for each in acts:
        try:
            seen.append(each(session, own))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            seen.append(type(error).__name__)
    return seen
