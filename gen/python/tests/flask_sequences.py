"""Plays a sequence to Flask's own session, which a cookie holds, and to ours."""

from __future__ import annotations

import logging
import random
from typing import Any

from flask import Flask, session
from flask.testing import FlaskClient

from latchkey_client import Client
from latchkey_client.flask import LatchkeySessions

from .sequences import Act, canonical, done, flask_act, requests_of


def check_flask(client: Client, app_name: str, seed: int) -> None:
    """Fails where the two differ in what a view sees, in the answer's status, or in what the next
    request reads."""
    logging.getLogger("theirs").setLevel(logging.CRITICAL)
    logging.getLogger("ours").setLevel(logging.CRITICAL)
    theirs, ours = _Played("theirs"), _Played("ours")
    theirs.app.secret_key = "of a test"
    ours.app.session_interface = LatchkeySessions(client, app_name)
    # Each plays its own, so that neither changes a value that the other holds.
    for one, other in zip(_requests(seed), _requests(seed), strict=True):
        expected = theirs.visit(one)
        assert ours.visit(other) == expected, f"seed {seed}"
        assert ours.read() == theirs.read(), f"seed {seed}"


def _requests(seed: int) -> list[list[Act]]:
    return requests_of(random.Random(seed), flask_act)


class _Played:
    def __init__(self, name: str) -> None:
        self.app = Flask(name)
        self.browser: FlaskClient = self.app.test_client()
        self.acts: list[Act] = []
        self.seen: list[Any] = []
        own = name == "theirs"
        self.app.config["MAX_COOKIE_SIZE"] = 0

        @self.app.get("/visit")
        def visit() -> str:
            self.seen = done(self.acts, session, own)
            return ""

        @self.app.get("/read")
        def read() -> str:
            self.seen = [canonical(dict(session))]
            return ""

    def visit(self, acts: list[Act]) -> tuple[int, list[Any]]:
        self.acts = acts
        return self.browser.get("/visit").status_code, self.seen

    def read(self) -> list[Any]:
        assert self.browser.get("/read").status_code == 200
        return self.seen
