"""Plays a sequence to Django's sessions in a database and to ours, by Django's middleware."""

from __future__ import annotations

import random
from typing import Any

from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse

from latchkey_client.django import SessionStore

from .sequences import Act, canonical, django_act, done, requests_of


def check_django(seed: int) -> None:
    """Fails where the two differ in what a view sees, in how the request ends, in whether the
    browser has a cookie, or in what the next request reads."""
    theirs, ours = _Played(DatabaseStore), _Played(SessionStore)
    # Each plays its own, so that neither changes a value that the other holds.
    for one, other in zip(_requests(seed), _requests(seed), strict=True):
        expected = theirs.visit(one)
        assert ours.visit(other) == expected, f"seed {seed}"
        assert ours.read() == theirs.read(), f"seed {seed}"


def _requests(seed: int) -> list[list[Act]]:
    return requests_of(random.Random(seed), django_act)


class _Played:
    def __init__(self, store: Any) -> None:
        self.store = store
        self.key: str | None = None

    def visit(self, acts: list[Act]) -> tuple[str, list[Any], bool]:
        seen: list[Any] = []
        own = self.store is DatabaseStore

        def view(request: HttpRequest) -> HttpResponse:
            try:
                seen.extend(done(acts, request.session, own))
            except UpdateError:
                seen.append("UpdateError")
            return HttpResponse()

        request = HttpRequest()
        if self.key is not None:
            request.COOKIES["sessionid"] = self.key
        middleware = SessionMiddleware(view)
        middleware.SessionStore = self.store
        try:
            response: Any = middleware(request)
        except (SessionInterrupted, TypeError, ValueError) as error:
            return type(error).__name__, seen, self.key is not None
        if seen[-1:] == ["UpdateError"]:
            # Of a key of nothing, Django's database store makes another key of nothing.
            self.key = None
            return "UpdateError", seen, False
        cookie = response.cookies.get("sessionid")
        if cookie is not None:
            over = cookie["max-age"] != "" and float(cookie["max-age"]) <= 0
            self.key = None if over else cookie.value
        return str(response.status_code), seen, self.key is not None

    def read(self) -> Any:
        return canonical(dict(self.store(self.key).items()))
