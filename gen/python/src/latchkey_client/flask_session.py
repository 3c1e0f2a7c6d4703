"""What `flask.session` is with LatchkeySessions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionMixin
from google.protobuf.struct_pb2 import Struct

from . import data
from .budget import Budget
from .origin import Origin
from .session import Session

_TOKEN = re.compile(r"[A-Za-z0-9]{64}", re.ASCII)
_JSON = TaggedJSONSerializer()
CODEC = data.Codec(_JSON.dumps, _JSON.loads, _JSON.dumps)


Reader = Callable[["LatchkeySession"], Session | None]
"""Reads the session of its token."""


class LatchkeySession(SessionMixin):
    """What `flask.session` is. It is read from Latchkey when it is first used."""

    accessed = False

    def __init__(self, reader: Reader, budget: Budget, cookie: str | None, origin: Origin) -> None:
        self._reader = reader
        self._values: dict[str, Any] | None = None
        self._modified: bool | None = None
        self.budget = budget
        self.cookie = cookie
        """What the browser sent."""
        self.origin = origin
        self.token = cookie if cookie is not None and _TOKEN.fullmatch(cookie) else None
        """What opens the session; None if there is none."""
        self.stored: Session | None = None
        """The session as Latchkey answered it last."""
        self.rotating = False

    def _load(self) -> dict[str, Any]:
        if self._values is None:
            self.accessed = True
            stored = None
            if self.token is not None:
                stored = self._reader(self)
            self._values = {} if stored is None else data.load(stored.data, CODEC)
            self.stored = stored
            if stored is None:
                self.token = None
        return self._values

    def rotate(self) -> None:
        """Gives the session a new token with this response. The one that it has stays good for
        30 s, for other requests that are under way."""
        self._load()
        self.rotating = True

    @property
    def loaded(self) -> bool:
        """Whether it was used."""
        return self._values is not None

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether Latchkey does not have it yet."""
        self._load()
        return self.stored is None

    @property
    def modified(self) -> bool:
        """Whether it is to be saved: it was said to be or not to be, a key was set or removed, or
        a value is another than was loaded, as after `session["cart"].append(1)`."""
        if self._modified is not None:
            return self._modified
        return self.stored is not None and bool(self.changes().fields)

    @modified.setter
    def modified(self, value: bool) -> None:
        self._modified = value

    def changes(self) -> Struct:
        """What is to be merged into the stored data."""
        before = Struct() if self.stored is None else self.stored.data
        return data.changes(before, self._load(), CODEC)

    def __getitem__(self, key: str) -> Any:
        return self._load()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._load()[key] = value
        self.modified = True

    def __delitem__(self, key: str) -> None:
        del self._load()[key]
        self.modified = True

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    # What a dict has and a MutableMapping has not. Flask's own session is a dict.

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._load())

    def copy(self) -> dict[str, Any]:
        """Its values; changes of them are not the session's."""
        return self._load().copy()

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return deepcopy(self._load(), memo)

    def __or__(self, other: Any) -> dict[str, Any]:
        return {**self._load(), **other} if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Any) -> dict[str, Any]:
        return {**other, **self._load()} if isinstance(other, Mapping) else NotImplemented

    def __ior__(self, other: Any) -> LatchkeySession:
        self.update(other)
        return self

    def __repr__(self) -> str:
        return f"<LatchkeySession of {self.stored.user_id if self.stored else None!r}>"
