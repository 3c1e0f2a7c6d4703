"""Sessions of Django projects, kept by Latchkey:

    SESSION_ENGINE = "latchkey_client.django"
    LATCHKEY = {"address": "localhost:50051", "app": "shop"}

LATCHKEY takes what `connect` takes, too. A session belongs to the user who is logged in; when
that changes, a new session with a new key takes the place of the old one. To log a user out on
all devices, call DeleteUserSessions by `client()`.

As Django says, a session expires some time after it was saved last, not after it was read last;
with SESSION_SAVE_EVERY_REQUEST each request saves it. Lifetimes are rounded up to what the server
takes, 10 s to 68 years, and end at the policy's maximum; one of less than 0 ends the session.

Unlike Django's backends, this one notices changes within values, as in
`request.session["cart"].append(1)`, without `modified = True`.

`latchkey_client.django.SessionMiddleware` in the place of Django's own tells Latchkey the
addresses and browsers of users, for lists of devices and for policies that bind sessions to them.
"""

from __future__ import annotations

import os
import re
from datetime import datetime
from functools import lru_cache
from secrets import token_hex
from typing import Any, TypeGuard

import grpc
from django.conf import settings
from django.contrib.sessions import middleware
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.http import HttpRequest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from . import data, lifetime
from .budget import Budget
from .client import Client, connect
from .error import LatchkeyError
from .origin import Origin, origin_of
from .session import (
    CreateSessionRequest,
    DeleteSessionRequest,
    ExtendSessionRequest,
    GetAppPolicyRequest,
    GetSessionRequest,
    Session,
    UpdateSessionRequest,
)
from .user import is_of, user_id_of

_TOKEN = re.compile(r"[A-Za-z0-9]{64}", re.ASCII)
_USER_KEY = "_auth_user_id"  # django.contrib.auth.SESSION_KEY, which only its app may import.
_VALUE = "value"


def client() -> Client:
    """The client that the sessions use, one in each process."""
    return _client(os.getpid())


@lru_cache(maxsize=1)
def _client(_pid: int) -> Client:
    options = {key: value for key, value in settings.LATCHKEY.items() if key != "app"}
    return connect(**options)


def _app() -> str:
    app: str = settings.LATCHKEY["app"]
    return app


class SessionStore(SessionBase):
    """A session, whose key is its token in Latchkey. Latchkey makes the keys: a session that is
    saved under a key that Latchkey does not have is refused with UpdateError."""

    origin = Origin()
    """Of the request that it belongs to, where SessionMiddleware told."""

    _stored: Session | None = None
    """The session as Latchkey answered it last."""

    _ended_key: str | None = None
    """The key that it was saved under with a lifetime that was over."""

    _modified: bool | None = None
    _budget: Budget | None = None

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._modified = None

    @property
    def modified(self) -> bool:
        """Whether it is to be saved: it was said to be or not to be, a key was set or removed, or
        a value is another than was loaded."""
        if self._modified is not None:
            return self._modified
        values: dict[str, Any] | None = getattr(self, "_session_cache", None)
        if values is None or self._stored is None:
            return False
        try:
            return bool(data.changes(self._stored.data, values, self._codec()).fields)
        except Exception:  # What a serializer raises is its own, and raised by `save`.
            return True

    @modified.setter
    def modified(self, value: bool) -> None:
        self._modified = value

    # Django's set `modified` to False where the key is not there and nothing has changed yet, which
    # is not to say that nothing will.

    def pop(self, key: str, *default: Any) -> Any:
        said = self._modified
        try:
            return super().pop(key, *default)
        finally:
            self._modified = self._modified or said

    async def apop(self, key: str, *default: Any) -> Any:
        said = self._modified
        try:
            return await super().apop(key, *default)
        finally:
            self._modified = self._modified or said

    def load(self) -> dict[str, Any]:
        self._stored = self._read(self.session_key)
        if self._stored is not None:
            values = data.load(self._stored.data, self._codec())
            if not self._has_expired(values):
                return values
        self._session_key = None
        return {}

    def exists(self, session_key: str | None) -> bool:
        return self._read(session_key) is not None

    def create(self) -> None:
        self.save(must_create=True)

    def save(self, must_create: bool = False) -> None:
        old = self.session_key
        values = self._get_session(no_load=must_create)  # type: ignore[attr-defined]
        if self.get_expiry_age() <= 0:
            data.changes(Struct(), values, self._codec())  # Raises for what cannot be stored.
            self._end(None if must_create else old)
        elif must_create or old is None or old == self._ended_key:
            self._create(values)
        elif not self._is_stored(old):
            data.changes(Struct(), values, self._codec())  # Raises as above, and before the other.
            raise UpdateError
        elif self._stored is not None and is_of(self._stored.user_id, values.get(_USER_KEY)):
            self._update(old, values)
        else:
            self._replace(old, values)

    def _is_stored(self, key: str) -> bool:
        """Whether Latchkey has the session, as far as is known."""
        if self._stored is None:
            self._stored = self._read(key)
        return self._stored is not None

    def _replace(self, old: str, values: dict[str, Any]) -> None:
        """Makes a session of the user who is logged in now in the place of the old one."""
        self._create(values)
        try:
            self._call("DeleteSession", DeleteSessionRequest(app=_app(), token=old))
        except LatchkeyError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
            # It was ended while the request was under way, and is not to come back.
            self.delete()
            raise UpdateError from error

    def delete(self, session_key: str | None = None) -> None:
        key = session_key if session_key is not None else self.session_key
        if _is_token(key):
            request = DeleteSessionRequest(app=_app(), token=key, allow_missing=True)
            self._call("DeleteSession", request)

    @classmethod
    def clear_expired(cls) -> None:
        """Does nothing: Latchkey removes what has expired."""

    def _read(self, key: str | None) -> Session | None:
        if not _is_token(key):
            return None
        request = GetSessionRequest(
            app=_app(), token=key, peek=True, ip=self.origin.ip, user_agent=self.origin.user_agent
        )
        try:
            answer = self._call("GetSession", request)
        except LatchkeyError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        stored: Session = answer.session
        return stored

    def _create(self, values: dict[str, Any]) -> None:
        request = CreateSessionRequest(
            app=_app(),
            user_id=user_id_of(values.get(_USER_KEY)),
            ip=self.origin.ip,
            user_agent=self.origin.user_agent,
            data=data.changes(Struct(), values, self._codec()),
            idle_ttl=self._idle_ttl(),
        )
        created = self._fitting("CreateSession", request)
        self._session_key = created.token
        self._stored = created.session
        self.modified = True  # The browser has to learn of the key, also after an explicit save.

    def _update(self, key: str, values: dict[str, Any]) -> None:
        assert self._stored is not None
        merge = data.changes(self._stored.data, values, self._codec())
        idle_ttl = self._idle_ttl()
        try:
            if merge.fields:
                update = UpdateSessionRequest(app=_app(), token=key, data=merge)
                self._stored = self._call("UpdateSession", update).session
            # Both restart the time that the session has left.
            if not merge.fields or self._stored.idle_ttl != idle_ttl:
                extend = ExtendSessionRequest(app=_app(), token=key, idle_ttl=idle_ttl)
                self._stored = self._fitting("ExtendSession", extend).session
        except LatchkeyError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                raise UpdateError from error
            raise

    def _end(self, key: str | None) -> None:
        """Saves a session whose lifetime is over: nothing loads it, as with Django's backends."""
        if key is None:
            key = token_hex(32)
        elif key != self._ended_key:
            try:
                self._call("DeleteSession", DeleteSessionRequest(app=_app(), token=key))
            except LatchkeyError as error:
                if error.code is grpc.StatusCode.NOT_FOUND:
                    raise UpdateError from error
                raise
        self._session_key = self._ended_key = key
        self.modified = True
        self._stored = None

    def _call(self, method: str, request: Any) -> Any:
        """The answer, within what the session's request has left of the deadline: a call that gets
        none is the last one that waits."""
        if self._budget is None:
            self._budget = Budget(client())
        answer = self._budget.call(getattr(client().sessions, method), request)
        self._budget = None
        return answer

    def _fitting(self, method: str, request: Any) -> Any:
        """The answer, to a request whose idle limit is the policy's longest if that is less."""
        try:
            return self._call(method, request)
        except LatchkeyError as error:
            if not lifetime.is_too_long(error):
                raise
        policy = self._call("GetAppPolicy", GetAppPolicyRequest(app=_app())).policy
        request.idle_ttl.CopyFrom(lifetime.at_most(request.idle_ttl, policy))
        return self._call(method, request)

    def _has_expired(self, values: dict[str, Any]) -> bool:
        """Whether it has an instant to end at and that is past: Latchkey's limits are 10 s and
        more."""
        expiry = values.get("_session_expiry")
        return isinstance(expiry, (str, datetime)) and self.get_expiry_age(expiry=expiry) <= 0

    def _idle_ttl(self) -> Duration:
        return lifetime.idle_ttl_of(self.get_expiry_age())

    # What JSON does not have goes through SESSION_SERIALIZER, signed, for it may be pickle.

    def _pack(self, value: Any) -> str:
        return self.encode({_VALUE: value})

    def _unpack(self, packed: str) -> Any:
        return self.decode(packed).get(_VALUE)

    def _fingerprint(self, value: Any) -> bytes:
        packed: bytes = self.serializer().dumps({_VALUE: value})
        return packed

    def _codec(self) -> data.Codec:
        return data.Codec(self._pack, self._unpack, self._fingerprint)


class SessionMiddleware(middleware.SessionMiddleware):
    """Django's, that also tells the session where its request comes from."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        agent = request.headers.get("User-Agent")
        session = request.session
        if isinstance(session, SessionStore):
            session.origin = origin_of(request.META.get("REMOTE_ADDR"), agent)


def _is_token(key: str | None) -> TypeGuard[str]:
    return key is not None and _TOKEN.fullmatch(key) is not None
