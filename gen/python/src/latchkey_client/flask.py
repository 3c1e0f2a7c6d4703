"""Sessions of Flask apps, kept by Latchkey:

    app.session_interface = LatchkeySessions(connect("localhost:50051"), "shop")

A session belongs to the user that it names under `user_key`, which is `_user_id` as with
Flask-Login. When that changes, a new session with a new token takes the place of the old one, so
that no login goes on with a token from before it. To log a user out on all devices, call
DeleteUserSessions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
from flask import Flask, Request, Response
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionInterface, SessionMixin
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from . import data
from .client import Client
from .error import LatchkeyError
from .origin import Origin, origin_of
from .session import (
    CreateSessionRequest,
    DeleteSessionRequest,
    ExtendSessionRequest,
    GetSessionRequest,
    RotateTokenRequest,
    Session,
    UpdateSessionRequest,
)
from .user import is_of, user_id_of

_TOKEN = re.compile(r"[A-Za-z0-9]{64}", re.ASCII)
_JSON = TaggedJSONSerializer()


class LatchkeySession(SessionMixin):
    """What `flask.session` is. It is read from Latchkey when it is first used."""

    accessed = False
    modified = False

    def __init__(self, sessions: LatchkeySessions, cookie: str | None, origin: Origin) -> None:
        self._sessions = sessions
        self._values: dict[str, Any] | None = None
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
            self._values = {}
            if self.token is not None:
                self.stored = self._sessions.read(self.token, self.origin)
            if self.stored is None:
                self.token = None
            else:
                self._values = data.load(self.stored.data, _JSON.loads)
        return self._values

    def rotate(self) -> None:
        """Gives the session a new token with this response. The one that it has stays good for
        30 s, for other requests that are under way."""
        self.rotating = True

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether Latchkey does not have it yet."""
        self._load()
        return self.stored is None

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

    def __repr__(self) -> str:
        return f"<LatchkeySession of {self.stored.user_id if self.stored else None!r}>"


class LatchkeySessions(SessionInterface):
    """The session interface of one app.

    `idle_ttl` is how long a session that is not permanent lives unused; the app's policy or the
    server decides if it is None. One that is permanent lives for PERMANENT_SESSION_LIFETIME.
    """

    def __init__(
        self,
        client: Client,
        app: str,
        *,
        idle_ttl: timedelta | None = None,
        user_key: str = "_user_id",
    ) -> None:
        self._calls = client.sessions
        self._app = app
        self._idle_ttl = idle_ttl
        self._user_key = user_key

    def open_session(self, app: Flask, request: Request) -> LatchkeySession:
        origin = origin_of(request.remote_addr, request.user_agent.string)
        return LatchkeySession(self, request.cookies.get(self.get_cookie_name(app)), origin)

    def read(self, token: str, origin: Origin) -> Session | None:
        """The live session of the token, touched; None if there is none."""
        request = GetSessionRequest(
            app=self._app, token=token, ip=origin.ip, user_agent=origin.user_agent
        )
        try:
            return self._calls.GetSession(request).session
        except LatchkeyError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        assert isinstance(session, LatchkeySession)
        if session.accessed:
            response.vary.add("Cookie")
        refresh = self.should_set_cookie(app, session)
        if session.modified or session.rotating:
            self._write(app, session)

        name = self.get_cookie_name(app)
        attributes: dict[str, Any] = {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "httponly": self.get_cookie_httponly(app),
            "samesite": self.get_cookie_samesite(app),
            "partitioned": self.get_cookie_partitioned(app),
        }
        if session.token is None:
            if session.cookie is not None:
                response.delete_cookie(name, **attributes)
                response.vary.add("Cookie")
        elif refresh or session.token != session.cookie:
            expires = self.get_expiration_time(app, session)
            response.set_cookie(name, session.token, expires=expires, **attributes)
            response.vary.add("Cookie")

    def _write(self, app: Flask, session: LatchkeySession) -> None:
        """Stores the session, and leaves its token in it, or None if it has ended: a session that
        was ended while the request was under way is not brought back."""
        user = session.get(self._user_key)
        old = session.token
        if not session:
            session.token = None
        elif session.stored is None or not is_of(session.stored.user_id, user):
            session.token = self._create(app, session)
        else:
            self._update(app, session)
            return
        if old is not None:
            request = DeleteSessionRequest(app=self._app, token=old, allow_missing=True)
            self._calls.DeleteSession(request)

    def _create(self, app: Flask, session: LatchkeySession) -> str:
        request = CreateSessionRequest(
            app=self._app,
            user_id=user_id_of(session.get(self._user_key)),
            ip=session.origin.ip,
            user_agent=session.origin.user_agent,
            data=data.changes(Struct(), session, _JSON.dumps),
            idle_ttl=self._idle_ttl_of(app, session),
        )
        created = self._calls.CreateSession(request)
        session.stored = created.session
        return created.token

    def _update(self, app: Flask, session: LatchkeySession) -> None:
        assert session.stored is not None
        assert session.token is not None
        name: dict[str, Any] = {"app": self._app, "token": session.token}
        merge = data.changes(session.stored.data, session, _JSON.dumps)
        try:
            if merge.fields:
                update = UpdateSessionRequest(**name, data=merge)
                session.stored = self._calls.UpdateSession(update).session
            idle_ttl = self._idle_ttl_of(app, session)
            if "_permanent" in merge.fields and idle_ttl is not None:
                self._calls.ExtendSession(ExtendSessionRequest(**name, idle_ttl=idle_ttl))
            if session.rotating:
                session.token = self._calls.RotateToken(RotateTokenRequest(**name)).token
        except LatchkeyError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                session.token = None
            # Another request that is under way rotated it: this one's token is in its grace.
            elif error.code is not grpc.StatusCode.ABORTED:
                raise

    def _idle_ttl_of(self, app: Flask, session: LatchkeySession) -> Duration | None:
        ttl = app.permanent_session_lifetime if session.permanent else self._idle_ttl
        return None if ttl is None else Duration(seconds=int(ttl.total_seconds()))
