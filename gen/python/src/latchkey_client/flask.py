"""Sessions of Flask apps, kept by Latchkey:

    app.session_interface = LatchkeySessions(connect("localhost:50051"), "shop")

A session belongs to the user that it names under `user_key`, which is `_user_id` as with
Flask-Login. When that changes, a new session with a new token takes the place of the old one, so
that no login goes on with a token from before it. To log a user out on all devices, call
DeleteUserSessions.

A view that does not use the session does not wait for Latchkey, nor does the cookie move: a
permanent session lives for its lifetime after the last request that used it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from flask import Flask, Request, Response
from flask.json.provider import DefaultJSONProvider
from flask.sessions import SessionInterface, SessionMixin
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from . import data, lifetime
from .budget import Budget
from .client import Client
from .error import LatchkeyError
from .flask_session import CODEC, LatchkeySession
from .origin import origin_of
from .session import (
    AppPolicy,
    CreateSessionRequest,
    DeleteSessionRequest,
    ExtendSessionRequest,
    GetAppPolicyRequest,
    GetSessionRequest,
    RotateTokenRequest,
    Session,
    UpdateSessionRequest,
)
from .user import is_of, user_id_of

__all__ = ["LatchkeySession", "LatchkeySessions"]


class LatchkeySessions(SessionInterface):
    """The session interface of one app.

    `idle_ttl` is how long a session that is not permanent lives unused; the app's policy or the
    server decides if it is None. One that is permanent lives for PERMANENT_SESSION_LIFETIME. Both
    are rounded up to what the server takes, 10 s to 68 years, and end at the policy's maximum; a
    lifetime of 0 or less ends the session.
    """

    def __init__(
        self,
        client: Client,
        app: str,
        *,
        idle_ttl: timedelta | None = None,
        user_key: str = "_user_id",
    ) -> None:
        self.client = client
        self._calls = client.sessions
        self._app = app
        self._idle_ttl = idle_ttl
        self._user_key = user_key

    def open_session(self, app: Flask, request: Request) -> LatchkeySession:
        _teach_json(app)
        origin = origin_of(request.remote_addr, request.user_agent.string)
        cookie = request.cookies.get(self.get_cookie_name(app))
        return LatchkeySession(self.read, Budget(self.client), cookie, origin)

    def read(self, session: LatchkeySession) -> Session | None:
        """The live session of the token, touched; None if there is none."""
        request = GetSessionRequest(
            app=self._app,
            token=session.token or "",
            ip=session.origin.ip,
            user_agent=session.origin.user_agent,
        )
        try:
            answer = session.budget.call(self._calls.GetSession, request)
        except LatchkeyError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        stored: Session = answer.session
        return stored

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        assert isinstance(session, LatchkeySession)
        if session.accessed:
            response.vary.add("Cookie")
        if not session.loaded or session.budget.failed:
            # The browser keeps its cookie while Latchkey does not answer.
            return
        modified = session.modified
        if modified or session.rotating:
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
        refresh = session.permanent and app.config["SESSION_REFRESH_EACH_REQUEST"]
        if session.token is None:
            if session.cookie is not None:
                response.delete_cookie(name, **attributes)
                response.vary.add("Cookie")
        elif modified or refresh or session.token != session.cookie:
            expires = self.get_expiration_time(app, session)
            response.set_cookie(name, session.token, expires=expires, **attributes)
            response.vary.add("Cookie")

    def _write(self, app: Flask, session: LatchkeySession) -> None:
        """Stores the session, and leaves its token in it, or None if it has ended: a session that
        was ended while the request was under way is not brought back."""
        user = session.get(self._user_key)
        old = session.token
        lives = self._lifetime(app, session)
        if not session or (lives is not None and lives <= 0):
            session.token = None
        elif session.stored is None or not is_of(session.stored.user_id, user):
            session.token = self._create(app, session)
        else:
            self._update(app, session)
            return
        if old is not None:
            request = DeleteSessionRequest(app=self._app, token=old, allow_missing=True)
            session.budget.call(self._calls.DeleteSession, request)

    def _create(self, app: Flask, session: LatchkeySession) -> str:
        request = CreateSessionRequest(
            app=self._app,
            user_id=user_id_of(session.get(self._user_key)),
            ip=session.origin.ip,
            user_agent=session.origin.user_agent,
            data=data.changes(Struct(), session, CODEC),
            idle_ttl=self._idle_ttl_of(app, session),
        )
        created = self._fitting(session, self._calls.CreateSession, request)
        session.stored = created.session
        token: str = created.token
        return token

    def _update(self, app: Flask, session: LatchkeySession) -> None:
        assert session.stored is not None
        assert session.token is not None
        name: dict[str, Any] = {"app": self._app, "token": session.token}
        merge = session.changes()
        stored = session.stored.data.fields
        was_permanent = "_permanent" in stored and stored["_permanent"].bool_value
        try:
            if merge.fields:
                update = UpdateSessionRequest(**name, data=merge)
                answer = session.budget.call(self._calls.UpdateSession, update)
                session.stored = answer.session
            if "_permanent" in merge.fields:
                idle_ttl = self._idle_ttl_of(app, session)
                if idle_ttl is None and was_permanent:
                    idle_ttl = lifetime.default_idle_ttl(self._policy(session))
                if idle_ttl is not None:
                    extend = ExtendSessionRequest(**name, idle_ttl=idle_ttl)
                    self._fitting(session, self._calls.ExtendSession, extend)
            if session.rotating:
                rotate = RotateTokenRequest(**name)
                session.token = session.budget.call(self._calls.RotateToken, rotate).token
        except LatchkeyError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                session.token = None
            # Another request that is under way rotated it: this one's token is in its grace.
            elif error.code is not grpc.StatusCode.ABORTED:
                raise

    def _fitting(self, session: LatchkeySession, method: Any, request: Any) -> Any:
        """The answer, to a request whose idle limit is the policy's longest if that is less."""
        try:
            return session.budget.call(method, request)
        except LatchkeyError as error:
            if not lifetime.is_too_long(error):
                raise
        request.idle_ttl.CopyFrom(lifetime.at_most(request.idle_ttl, self._policy(session)))
        return session.budget.call(method, request)

    def _policy(self, session: LatchkeySession) -> AppPolicy:
        request = GetAppPolicyRequest(app=self._app)
        policy: AppPolicy = session.budget.call(self._calls.GetAppPolicy, request).policy
        return policy

    def _lifetime(self, app: Flask, session: LatchkeySession) -> float | None:
        ttl = app.permanent_session_lifetime if session.permanent else self._idle_ttl
        return None if ttl is None else ttl.total_seconds()

    def _idle_ttl_of(self, app: Flask, session: LatchkeySession) -> Duration | None:
        seconds = self._lifetime(app, session)
        return None if seconds is None else lifetime.idle_ttl_of(seconds)


def _teach_json(app: Flask) -> None:
    """Lets `jsonify(session)` work: `flask.session` is a proxy, which JSON takes for no dict."""
    provider = app.json
    if isinstance(provider, DefaultJSONProvider) and not isinstance(provider.default, _Default):
        provider.default = _Default(provider.default)


@dataclass(frozen=True)
class _Default:
    """Of what JSON does not know: a session as a dict, the rest as before."""

    others: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        return value.copy() if isinstance(value, LatchkeySession) else self.others(value)
