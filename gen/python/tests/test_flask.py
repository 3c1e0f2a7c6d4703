"""LatchkeySessions in a real Flask app, called by its test client and on a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from http.client import HTTPConnection
from threading import Event, Thread
from time import monotonic
from typing import Any
from uuid import UUID

import grpc
import pytest
from flask import Flask, jsonify, request, session
from flask.testing import FlaskClient
from google.protobuf.duration_pb2 import Duration
from markupsafe import Markup
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from latchkey_client import Client, LatchkeyError, connect
from latchkey_client.flask import LatchkeySession, LatchkeySessions
from latchkey_client.session import (
    AT_LIMIT_EVICT_OLDEST,
    AppPolicy,
    DeleteUserSessionsRequest,
    GetSessionRequest,
    ListSessionsRequest,
    ListUserSessionsRequest,
    Session,
    SetAppPolicyRequest,
)

from .fake_server import fake_server


@pytest.fixture
def app(client: Client, app_name: str) -> Flask:
    app = Flask("shop")
    app.session_interface = LatchkeySessions(client, app_name)
    app.testing = True

    @app.get("/idle")
    def idle() -> str:
        return ""

    @app.get("/read")
    def read() -> dict[str, Any]:
        return dict(session)

    @app.get("/set")
    def set_() -> str:
        session.update(request.args)
        return ""

    @app.get("/login/<user>")
    def login(user: str) -> str:
        session["_user_id"] = user
        session.permanent = "permanent" in request.args
        return ""

    @app.get("/logout")
    def logout() -> str:
        session.clear()
        return ""

    @app.get("/rotate")
    def rotate() -> str:
        assert isinstance(session, LatchkeySession)
        session.rotate()
        return ""

    @app.get("/logout-everywhere")
    def logout_everywhere() -> str:
        ended = DeleteUserSessionsRequest(app=app_name, user_id=session["_user_id"])
        client.sessions.DeleteUserSessions(ended)
        session["bye"] = True
        return ""

    return app


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    return app.test_client()


def token_of(browser: FlaskClient) -> str:
    """What its cookie has; empty if it has none."""
    cookie = browser.get_cookie("session")
    return cookie.value if cookie else ""


def seen_by(browser: FlaskClient) -> dict[str, Any]:
    values = browser.get("/read").json
    assert isinstance(values, dict)
    return values


@pytest.fixture
def stored(client: Client, app_name: str) -> Any:
    def read() -> list[Session]:
        return list(client.sessions.ListSessions(ListSessionsRequest(app=app_name)).sessions)

    return read


def cookies(response: TestResponse) -> list[str]:
    return response.headers.getlist("Set-Cookie")


def test_a_session_that_is_not_used_is_neither_made_nor_asked_for(
    browser: FlaskClient, stored: Any
) -> None:
    for path in ("/idle", "/read"):
        response = browser.get(path)
        assert cookies(response) == []
    assert "Cookie" not in browser.get("/idle").vary
    assert "Cookie" in browser.get("/read").vary
    assert stored() == []


def test_what_is_set_is_read_by_the_next_request(browser: FlaskClient, stored: Any) -> None:
    response = browser.get("/set?tea=2&milk=1")
    assert "HttpOnly" in cookies(response)[0]
    assert "Expires" not in cookies(response)[0]
    assert "Cookie" in response.vary
    assert len(token_of(browser)) == 64
    assert seen_by(browser) == {"tea": "2", "milk": "1"}
    (one,) = stored()
    assert dict(one.data) == {"tea": "2", "milk": "1"}
    assert one.ip == "127.0.0.1"
    assert one.user_agent.startswith("Werkzeug")


def test_a_read_sends_no_cookie_and_counts(browser: FlaskClient, stored: Any) -> None:
    browser.get("/set?a=1")
    response = browser.get("/read")
    assert cookies(response) == []
    assert "Cookie" in response.vary
    assert stored()[0].reads == 2


@pytest.mark.parametrize("cookie", ["short", "x" * 64, "é" * 64])
def test_a_token_of_the_callers_own_making_is_not_adopted(
    browser: FlaskClient, cookie: str
) -> None:
    browser.set_cookie("session", cookie)
    browser.get("/set?a=1")
    assert token_of(browser) not in ("", cookie)
    assert seen_by(browser) == {"a": "1"}


def test_a_cookie_that_opens_nothing_is_removed(browser: FlaskClient) -> None:
    browser.set_cookie("session", "0" * 64)
    assert seen_by(browser) == {}
    assert token_of(browser) == ""


def test_a_session_that_is_emptied_ends_with_its_cookie(browser: FlaskClient, stored: Any) -> None:
    browser.get("/set?a=1")
    response = browser.get("/logout")
    assert token_of(browser) == ""
    assert "Cookie" in response.vary
    assert stored() == []
    assert cookies(browser.get("/logout")) == []


def test_python_values_come_back(app: Flask, browser: FlaskClient) -> None:
    values = {
        "none": None,
        "tuple": (1, "2"),
        "bytes": b"\x00\xff",
        "when": datetime(2026, 11, 22, tzinfo=timezone.utc),
        "safe": Markup("<b>"),
        "large": 10**30,
        "float": 2.0,
    }
    with browser.session_transaction() as opened:
        opened.update(values)
    with browser.session_transaction() as opened:
        assert dict(opened) == values
        assert isinstance(opened["safe"], Markup)
        assert isinstance(opened["float"], float)


def test_a_change_within_a_value_is_stored(browser: FlaskClient) -> None:
    with browser.session_transaction() as opened:
        opened["cart"] = {"tea": [1]}
        opened["packed"] = (None, [1])
    with browser.session_transaction() as opened:
        opened["cart"]["tea"].append(2)
        opened["packed"][1].append(2)
    with browser.session_transaction() as opened:
        assert dict(opened) == {"cart": {"tea": [1, 2]}, "packed": (None, [1, 2])}
        opened["cart"]["tea"].append(3)
        opened.modified = False
    assert seen_by(browser)["cart"] == {"tea": [1, 2]}


def test_a_read_of_values_writes_nothing(browser: FlaskClient, stored: Any) -> None:
    with browser.session_transaction() as opened:
        opened.update({"none": None, "when": datetime(2026, 11, 22, tzinfo=timezone.utc), "a": [1]})
    version = stored()[0].version
    for _ in range(3):
        assert seen_by(browser)["a"] == [1]
    assert stored()[0].version == version


def test_a_view_that_does_not_use_the_session_does_not_wait_for_it(
    app: Flask, browser: FlaskClient, stored: Any
) -> None:
    browser.get("/login/ann?permanent")
    reads = stored()[0].reads
    browser.get("/idle")
    assert stored()[0].reads == reads
    with connect("127.0.0.1:1") as nobody:
        app.session_interface = LatchkeySessions(nobody, "shop")
        response = browser.get("/idle")
    assert response.status_code == 200
    assert cookies(response) == []


def test_it_is_used_like_a_dict(app: Flask, browser: FlaskClient) -> None:
    seen: list[Any] = []

    @app.get("/dict")
    def use() -> Any:
        session["a"] = {"b": 1}
        opened: Any = session  # Flask's own is a dict, though its type does not say so.
        seen.append(opened.copy())
        seen.append(opened | {"c": 2})
        seen.append({"c": 2} | opened)
        seen.append(deepcopy(opened))
        seen.append(list(reversed(opened)))
        return jsonify(session)

    assert browser.get("/dict").json == {"a": {"b": 1}}
    a = {"a": {"b": 1}}
    assert seen == [a, {**a, "c": 2}, {**a, "c": 2}, a, ["a"]]


class Name(str):
    def __str__(self) -> str:
        return "another"


@pytest.mark.parametrize(
    ("user", "text"),
    [(7, "7"), (0, "0"), (UUID(int=1), str(UUID(int=1))), (Name("ann"), "ann"), (Markup("b"), "b")],
)
def test_what_is_plainly_an_id_says_whose_session_it_is(
    app: Flask, client: Client, app_name: str, stored: Any, user: Any, text: str
) -> None:
    planted = app.test_client()
    planted.get("/set?a=1")
    before = token_of(planted)
    for _ in range(2):
        with planted.session_transaction() as opened:
            opened["_user_id"] = user
    assert token_of(planted) != before
    assert [each.user_id for each in stored()] == [text]
    ended = DeleteUserSessionsRequest(app=app_name, user_id=text)
    client.sessions.DeleteUserSessions(ended)
    assert stored() == []


@pytest.mark.parametrize("user", [True, 1.5, b"ann", ["ann"], {"id": 1}, "", "anonymous:x"])
def test_any_other_id_is_refused_and_nothing_is_stored(
    app: Flask, browser: FlaskClient, stored: Any, user: Any
) -> None:
    with (
        pytest.raises((TypeError, ValueError), match="user's id"),
        browser.session_transaction() as opened,
    ):
        opened["_user_id"] = user
    assert stored() == []


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [(5, 10), (0.5, 10), (10.2, 11), (3600, 3600), (36_500 * 86_400, 2_147_483_647)],
)
def test_a_lifetime_is_rounded_up_to_what_the_server_takes(
    app: Flask, browser: FlaskClient, stored: Any, lifetime: float, seconds: int
) -> None:
    app.permanent_session_lifetime = timedelta(seconds=lifetime)
    assert browser.get("/login/ann?permanent").status_code == 200
    assert stored()[0].idle_ttl.seconds == seconds


@pytest.mark.parametrize("lifetime", [0, -1])
def test_a_lifetime_that_is_over_ends_the_session(
    app: Flask, browser: FlaskClient, stored: Any, lifetime: int
) -> None:
    browser.get("/login/ann")
    app.permanent_session_lifetime = timedelta(seconds=lifetime)
    assert browser.get("/login/ann?permanent").status_code == 200
    assert stored() == []
    assert token_of(browser) == ""


def test_a_lifetime_beyond_the_policys_is_the_policys(
    client: Client, app_name: str, browser: FlaskClient, stored: Any
) -> None:
    policy = AppPolicy(max_idle_ttl=Duration(seconds=600))
    client.sessions.SetAppPolicy(SetAppPolicyRequest(app=app_name, policy=policy))
    assert browser.get("/login/ann?permanent").status_code == 200
    assert stored()[0].idle_ttl.seconds == 600
    browser.get("/login/ann")
    assert browser.get("/login/ann?permanent").status_code == 200
    assert stored()[0].idle_ttl.seconds == 600


def test_a_session_that_is_permanent_no_more_lives_as_one_that_never_was(
    app: Flask, browser: FlaskClient, stored: Any
) -> None:
    for _ in range(2):
        browser.get("/login/ann?permanent")
        assert stored()[0].idle_ttl.ToTimedelta() == timedelta(days=31)
        browser.get("/login/ann")
        assert stored()[0].idle_ttl.ToTimedelta() == timedelta(hours=2)


def test_a_request_waits_for_one_deadline_and_keeps_its_cookie(app: Flask, app_name: str) -> None:
    def handle(_request: Any, context: grpc.ServicerContext) -> Any:
        ended = Event()
        context.add_callback(ended.set)
        ended.wait(10)

    app.testing = False
    with (
        fake_server(GetSession=handle, CreateSession=handle) as silent,
        connect(silent, deadline=1) as client,
    ):
        app.session_interface = LatchkeySessions(client, app_name)
        for cookie in ("0" * 64, None):
            browser = app.test_client()
            if cookie:
                browser.set_cookie("session", cookie)
            start = monotonic()
            response = browser.get("/login/ann")
            assert monotonic() - start < 1.8
            assert response.status_code == 500
            assert cookies(response) == []


def test_a_permanent_session_has_an_expiring_cookie_and_lives_as_long(
    app: Flask, browser: FlaskClient, stored: Any
) -> None:
    app.permanent_session_lifetime = timedelta(days=3)
    assert "Expires" in cookies(browser.get("/login/ann?permanent"))[0]
    assert stored()[0].idle_ttl.ToTimedelta() == timedelta(days=3)
    # SESSION_REFRESH_EACH_REQUEST, of those that use the session.
    assert "Expires" in cookies(browser.get("/read"))[0]
    assert cookies(browser.get("/idle")) == []
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    assert cookies(browser.get("/read")) == []


def test_a_session_that_becomes_permanent_is_extended(
    app: Flask, browser: FlaskClient, stored: Any
) -> None:
    browser.get("/login/ann")
    assert stored()[0].idle_ttl.ToTimedelta() == timedelta(hours=2)
    token = token_of(browser)
    browser.get("/login/ann?permanent")
    assert stored()[0].idle_ttl.ToTimedelta() == timedelta(days=31)
    assert token_of(browser) == token


def test_a_login_gets_a_new_token_and_keeps_the_data(
    client: Client, app_name: str, browser: FlaskClient, stored: Any
) -> None:
    browser.get("/set?cart=2")
    before = token_of(browser)
    assert stored()[0].user_id.startswith("anonymous:")
    browser.get("/login/ann")
    assert token_of(browser) != before
    (one,) = stored()
    assert one.user_id == "ann"
    assert one.data["cart"] == "2"
    with pytest.raises(LatchkeyError):
        client.sessions.GetSession(GetSessionRequest(app=app_name, token=before))


def test_the_same_user_keeps_his_token_and_another_gets_a_session_of_his_own(
    browser: FlaskClient, stored: Any
) -> None:
    browser.get("/login/ann")
    before = token_of(browser)
    browser.get("/login/ann")
    assert token_of(browser) == before
    browser.get("/login/bob")
    assert token_of(browser) != before
    assert [each.user_id for each in stored()] == ["bob"]


def test_a_limit_of_sessions_for_each_user_is_not_shared_by_strangers(
    app: Flask, client: Client, app_name: str, stored: Any
) -> None:
    policy = AppPolicy(max_sessions_per_user=1, at_limit=AT_LIMIT_EVICT_OLDEST)
    client.sessions.SetAppPolicy(SetAppPolicyRequest(app=app_name, policy=policy))
    for _ in range(3):
        app.test_client().get("/set?a=1")
    assert len(stored()) == 3


def test_a_rotated_token_works_along_with_the_old_one(app: Flask, browser: FlaskClient) -> None:
    browser.get("/login/ann")
    old = token_of(browser)
    browser.get("/rotate")
    assert token_of(browser) != old
    assert seen_by(browser)["_user_id"] == "ann"
    slow = app.test_client()
    slow.set_cookie("session", old)
    assert seen_by(slow)["_user_id"] == "ann"
    # Of two rotations of one token the second changes nothing.
    slow.get("/rotate")
    assert token_of(slow) == old


def test_a_user_is_logged_out_on_all_devices_and_a_request_under_way_revives_nothing(
    app: Flask, stored: Any
) -> None:
    phone, laptop, other = (app.test_client() for _ in range(3))
    phone.get("/login/ann")
    laptop.get("/login/ann")
    other.get("/login/bob")
    phone.get("/logout-everywhere")
    assert token_of(phone) == ""
    assert seen_by(laptop) == {}
    assert token_of(laptop) == ""
    assert [each.user_id for each in stored()] == ["bob"]


def test_a_user_sees_his_devices(client: Client, app_name: str, browser: FlaskClient) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0"
    browser.get("/login/ann", headers={"User-Agent": agent})
    request = ListUserSessionsRequest(app=app_name, user_id="ann", current_token=token_of(browser))
    (one,) = client.sessions.ListUserSessions(request).sessions
    assert (one.device, one.is_current) == ("Firefox on Linux", True)


def test_what_a_browser_says_of_itself_breaks_nothing(browser: FlaskClient) -> None:
    agent = "long\t\x7f" * 200
    where = {"REMOTE_ADDR": "fe80::1%eth0"}
    response = browser.get("/set?a=1", headers={"User-Agent": agent}, environ_base=where)
    assert response.status_code == 200


def test_a_fault_of_the_service_is_raised(app: Flask, app_name: str) -> None:
    with connect("127.0.0.1:1", deadline=0.2) as nobody:
        app.session_interface = LatchkeySessions(nobody, app_name)
        browser = app.test_client()
        browser.set_cookie("session", "0" * 64)
        with pytest.raises(LatchkeyError, match="UNAVAILABLE"):
            browser.get("/read")


@pytest.fixture
def address(app: Flask) -> Iterator[tuple[str, int]]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield "127.0.0.1", server.port
    server.shutdown()
    thread.join()
    server.server_close()


def test_of_100_requests_at_once_on_a_session_none_loses_what_another_set(
    address: tuple[str, int], browser: FlaskClient
) -> None:
    browser.get("/login/ann")
    headers = {"Cookie": f"session={token_of(browser)}"}

    def call(number: int) -> int:
        connection = HTTPConnection(*address, timeout=30)
        connection.request("GET", f"/set?key{number}={number}", headers=headers)
        status = connection.getresponse().status
        connection.close()
        return status

    with ThreadPoolExecutor(100) as pool:
        assert set(pool.map(call, range(100))) == {200}
    kept = seen_by(browser)
    assert {f"key{number}": str(number) for number in range(100)}.items() <= kept.items()
