"""What Django expects of a session backend, and a real project on a real socket."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from http.client import HTTPConnection
from threading import Event, Thread
from time import monotonic
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

import grpc
import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer
from django.test import Client as Browser
from django.test import override_settings
from google.protobuf.duration_pb2 import Duration
from markupsafe import Markup

from latchkey_client import Client, LatchkeyError, django
from latchkey_client.django import SessionStore, client
from latchkey_client.session import (
    AppPolicy,
    GetSessionRequest,
    ListSessionsRequest,
    Session,
    SetAppPolicyRequest,
)

from .django_project import id_of
from .fake_server import fake_server
from .servers import Servers


@pytest.fixture(autouse=True)
def settings(servers: Servers, app_name: str) -> Iterator[None]:
    with override_settings(LATCHKEY={"address": servers.grpc["open"], "app": app_name}):
        yield


@pytest.fixture
def session() -> SessionStore:
    return SessionStore()


@pytest.fixture
def stored(client: Client, app_name: str) -> Callable[[], list[Session]]:
    request = ListSessionsRequest(app=app_name)
    return lambda: list(client.sessions.ListSessions(request).sessions)


# Of the dictionary.


def test_a_new_session_is_neither_modified_nor_accessed(session: SessionStore) -> None:
    assert not session.modified
    assert not session.accessed
    assert session.session_key is None
    assert session.is_empty()


def test_keys_are_got_set_and_removed(session: SessionStore) -> None:
    assert session.get("cat") is None
    session["cat"] = "dog"
    assert session.accessed
    assert session.modified
    assert session.pop("cat") == "dog"
    assert session.get("cat") is None
    assert session.pop("none", "default") == "default"
    assert session.setdefault("foo", "bar") == "bar"
    assert session.setdefault("foo", "baz") == "bar"
    session.update({"x": 1})
    assert dict(session.items()) == {"foo": "bar", "x": 1}
    assert "x" in session
    session.clear()
    assert list(session.keys()) == []


# Of the store.


def test_what_is_saved_is_loaded(session: SessionStore) -> None:
    values = {"text": "한글", "none": None, "list": [1, 2.0, None], "large": 10**30, "float": 2.0}
    session.update(values)
    session.save()
    assert session.session_key is not None
    assert session.exists(session.session_key)
    loaded = SessionStore(session.session_key)
    assert dict(loaded.items()) == values
    assert isinstance(loaded["float"], float)
    assert not loaded.modified


def test_only_what_changed_is_written(session: SessionStore) -> None:
    session.update({"a": 1, "b": 1})
    session.save()
    one, other = SessionStore(session.session_key), SessionStore(session.session_key)
    one["a"] = 2
    del other["b"]
    one.save()
    other.save()
    assert dict(SessionStore(session.session_key).items()) == {"a": 2}


def test_a_change_within_a_value_is_written(session: SessionStore) -> None:
    session["cart"] = {"tea": 1}
    session.save()
    again = SessionStore(session.session_key)
    again["cart"]["tea"] = 2
    again.save()
    assert SessionStore(session.session_key)["cart"] == {"tea": 2}


def test_a_change_within_a_value_says_that_the_session_is_modified(session: SessionStore) -> None:
    session["cart"] = {"tea": [1], "none": None}
    session["none"] = None
    session.save()
    again = SessionStore(session.session_key)
    assert again["cart"]["tea"] == [1]
    assert not again.modified
    again["cart"]["tea"].append(2)
    assert again.modified
    again.save()
    assert SessionStore(session.session_key)["cart"]["tea"] == [1, 2]
    again.modified = False
    assert not again.modified


def test_what_is_packed_is_signed(session: SessionStore, client: Client, app_name: str) -> None:
    session["none"] = None
    session.save()
    request = GetSessionRequest(app=app_name, token=session.session_key or "")
    stored = client.sessions.GetSession(request).session.data
    packed = stored.fields["none"].struct_value.fields["latchkey.packed"].string_value
    with override_settings(SECRET_KEY="another"):
        assert SessionStore(session.session_key).get("none", "nothing") is None
        assert SessionStore().decode(packed) == {}
    assert SessionStore().decode(packed) == {"value": None}


class PickleSerializer:
    def dumps(self, value: Any) -> bytes:
        return pickle.dumps(value)

    def loads(self, packed: bytes) -> Any:
        return pickle.loads(packed)


def test_another_serializer_packs_what_json_has_not() -> None:
    when = datetime(2026, 11, 22, tzinfo=timezone.utc)
    with override_settings(SESSION_SERIALIZER="tests.test_django.PickleSerializer"):
        session = SessionStore()
        session["when"] = when
        session.save()
        assert SessionStore(session.session_key)["when"] == when


def test_what_the_serializer_cannot_store_is_refused(session: SessionStore) -> None:
    session["when"] = datetime(2026, 11, 22, tzinfo=timezone.utc)
    with pytest.raises(TypeError):
        session.save()


def test_a_session_is_deleted(session: SessionStore) -> None:
    session.save()
    key = session.session_key
    session.delete(key)
    assert not session.exists(key)
    session.delete(key)
    session.delete("short")
    SessionStore().delete()


def test_flush_ends_the_session_and_empties_it(session: SessionStore) -> None:
    session["foo"] = "bar"
    session.save()
    key = session.session_key
    session.flush()
    assert not session.exists(key)
    assert session.session_key is None
    assert session.modified
    assert session.accessed
    assert session.is_empty()


def test_cycle_key_keeps_the_data_and_ends_the_old_key(session: SessionStore) -> None:
    session["a"], session["b"] = "c", "d"
    session.save()
    key, data = session.session_key, dict(session.items())
    session.cycle_key()
    assert not session.exists(key)
    assert session.session_key != key
    assert dict(session.items()) == data
    assert dict(SessionStore(session.session_key).items()) == data


def test_cycle_key_makes_a_key_where_there_is_none(session: SessionStore) -> None:
    session["a"] = "b"
    session.cycle_key()
    assert session.exists(session.session_key)


def test_create_saves_at_once_under_a_new_key(session: SessionStore) -> None:
    session.create()
    first = session.session_key
    assert session.exists(first)
    assert session.modified
    session.save(must_create=True)
    assert session.session_key != first
    assert session.exists(first)


@pytest.mark.parametrize("key", ["1", "", "someunknownkey", "0" * 64, "é" * 64])
def test_a_key_of_the_callers_own_making_is_not_adopted(key: str) -> None:
    session = SessionStore(key)
    session["foo"] = "bar"
    session.save()
    assert session.session_key not in (None, key)
    assert not session.exists(key)


def test_loading_an_unknown_key_creates_nothing() -> None:
    session = SessionStore("someunknownkey")
    assert session.load() == {}
    assert session.session_key is None
    assert not session.exists(session.session_key)


def test_session_key_cannot_be_set(session: SessionStore) -> None:
    with pytest.raises(AttributeError):
        session.session_key = "new"  # type: ignore[misc]


def test_saving_does_not_revive_a_session_that_was_ended_elsewhere(session: SessionStore) -> None:
    session["test_data"] = "value1"
    session.save(must_create=True)
    SessionStore(session.session_key).delete()
    session["test_data"] = "value2"
    with pytest.raises(UpdateError):
        session.save()
    assert session.load() == {}
    unloaded = SessionStore()
    unloaded._session_key = "0" * 64
    unloaded.clear()
    with pytest.raises(UpdateError):
        unloaded.save()


def test_a_change_within_a_value_is_noticed_after_a_pop_of_a_key_that_is_not_there(
    session: SessionStore,
) -> None:
    session["cart"] = []
    session.create()
    pops: list[Callable[[SessionStore], Any]] = [
        lambda one: one.pop("tea", None),
        lambda one: asyncio.run(one.apop("tea", None)),
    ]
    for pop in pops:
        read = SessionStore(session.session_key)
        assert pop(read) is None
        assert not read.modified
        read["cart"].append("milk")
        assert read.modified


def test_a_session_that_is_said_not_to_be_modified_stays_so_after_a_pop(
    session: SessionStore,
) -> None:
    session["cart"] = []
    session.modified = False
    with pytest.raises(KeyError):
        session.pop("tea")
    assert not session.modified


@pytest.mark.parametrize("value", [(1, 2), Markup("<b>"), None, 1.0, {"a": (None, 2**60)}])
def test_a_value_that_was_stored_and_is_only_read_is_no_change(
    session: SessionStore, value: object
) -> None:
    session["x"] = value
    session.create()
    read = SessionStore(session.session_key)
    assert "x" in read
    assert not read.modified


def test_a_change_that_cannot_be_stored_fails_the_save_and_nothing_before(
    session: SessionStore,
) -> None:
    session["cart"] = {}
    session.create()
    read = SessionStore(session.session_key)
    read["cart"]["x"] = object()
    assert read.pop("tea", "none") == "none"
    assert read.modified
    with pytest.raises(TypeError):
        read.save()


def test_a_value_that_cannot_be_stored_is_told_before_that_the_session_has_ended(
    session: SessionStore,
) -> None:
    session.create()
    ended = SessionStore(session.session_key)
    session.delete()
    ended.clear()
    ended["x"] = object()
    with pytest.raises(TypeError):
        ended.save()


def test_clear_expired_has_nothing_to_do() -> None:
    SessionStore.clear_expired()
    asyncio.run(SessionStore.aclear_expired())


def test_the_async_methods_do_the_same(session: SessionStore) -> None:
    async def use() -> None:
        await session.aset("a", 1)
        await session.asave()
        key = session.session_key or ""
        assert await session.aexists(key)
        again = SessionStore(key)
        assert await again.aget("a") == 1
        await again.acycle_key()
        assert again.session_key != key
        assert not await session.aexists(key)
        key = again.session_key or ""
        await again.aset_expiry(300)
        await again.asave()
        assert await SessionStore(key).aget_expiry_age() == 300
        await again.aflush()
        assert not await session.aexists(key)
        await again.acreate()
        await again.adelete()
        assert not await session.aexists(again.session_key or "")
        assert await again.aload() == {}

    asyncio.run(use())


# Of expiry.


def ttl(stored: Callable[[], list[Session]]) -> float:
    (one,) = stored()
    return one.idle_ttl.ToTimedelta().total_seconds()


def test_a_session_lives_as_long_as_its_cookie(
    session: SessionStore, stored: Callable[[], list[Session]]
) -> None:
    session.save()
    assert ttl(stored) == 14 * 24 * 3600
    session.set_expiry(300)
    session.save()
    assert ttl(stored) == 300
    assert session.get_expiry_age() == 300
    session.set_expiry(0)
    session.save()
    assert session.get_expire_at_browser_close()
    assert ttl(stored) == 14 * 24 * 3600
    session.set_expiry(datetime.now(timezone.utc) + timedelta(seconds=100))
    session.save()
    assert 90 < ttl(stored) <= 100
    session.set_expiry(None)
    session.save()
    assert ttl(stored) == 14 * 24 * 3600


@pytest.mark.parametrize(
    ("age", "seconds"),
    [(1, 10), (0.5, 10), (10.2, 11), (36_500 * 86_400, 2_147_483_647)],
)
def test_a_lifetime_is_rounded_up_to_what_the_server_takes(
    session: SessionStore, stored: Callable[[], list[Session]], age: float, seconds: int
) -> None:
    session.set_expiry(age)  # type: ignore[arg-type] # Django itself takes a float.
    session.save()
    assert ttl(stored) == seconds


def test_an_instant_in_the_year_9999_is_as_far_as_the_server_goes(
    session: SessionStore, stored: Callable[[], list[Session]]
) -> None:
    session.set_expiry(datetime(9999, 12, 31, tzinfo=timezone.utc))
    session.save()
    assert ttl(stored) == 2_147_483_647


@pytest.mark.parametrize("age", [-1, -(10**9)])
def test_a_lifetime_that_is_over_ends_the_session_until_it_has_another(
    session: SessionStore, stored: Callable[[], list[Session]], age: int
) -> None:
    session["a"] = 1
    session.save()
    session.set_expiry(age)
    session.save()
    assert stored() == []
    assert SessionStore(session.session_key).get("a") is None
    fresh = SessionStore()
    fresh.set_expiry(age)
    fresh.save()
    assert len(fresh.session_key or "") == 64
    session.set_expiry(300)
    session.save()
    assert SessionStore(session.session_key)["a"] == 1


def test_a_lifetime_beyond_the_policys_is_the_policys(
    session: SessionStore, stored: Callable[[], list[Session]], client: Client, app_name: str
) -> None:
    policy = AppPolicy(max_idle_ttl=Duration(seconds=600))
    client.sessions.SetAppPolicy(SetAppPolicyRequest(app=app_name, policy=policy))
    session["a"] = 1
    session.save()
    assert ttl(stored) == 600
    session["a"] = 2
    session.save()
    assert ttl(stored) == 600


def test_a_session_waits_once_for_a_server_that_is_silent(app_name: str) -> None:
    def handle(_request: Any, context: grpc.ServicerContext) -> Any:
        ended = Event()
        context.add_callback(ended.set)
        ended.wait(10)

    with (
        fake_server(GetSession=handle, CreateSession=handle) as silent,
        override_settings(LATCHKEY={"address": silent, "app": app_name, "deadline": 1}),
    ):
        django._client.cache_clear()
        try:
            opened = SessionStore("0" * 64)
            start = monotonic()
            for _ in range(3):
                with pytest.raises(LatchkeyError, match="Latchkey did not answer in time"):
                    opened.get("a")
            assert monotonic() - start < 1.8
        finally:
            django.client().close()
            django._client.cache_clear()


def test_a_save_without_a_change_prolongs_and_a_read_does_not(
    session: SessionStore, stored: Callable[[], list[Session]]
) -> None:
    session["a"] = 1
    session.save()
    made = stored()[0].last_accessed_at.ToMilliseconds()
    again = SessionStore(session.session_key)
    assert again["a"] == 1
    assert stored()[0].last_accessed_at.ToMilliseconds() == made
    again.save()
    assert stored()[0].last_accessed_at.ToMilliseconds() > made


def test_a_session_whose_instant_is_past_is_not_loaded(session: SessionStore) -> None:
    session["foo"] = "bar"
    session.set_expiry(-timedelta(seconds=10))
    session.save()
    assert "foo" not in SessionStore(session.session_key)


# Of users.


def test_a_session_is_of_the_user_who_is_logged_in(
    session: SessionStore, stored: Callable[[], list[Session]]
) -> None:
    session["cart"] = 1
    session.save()
    assert stored()[0].user_id.startswith("anonymous:")
    key = session.session_key
    session["_auth_user_id"] = "7"
    session.save()
    (one,) = stored()
    assert one.user_id == "7"
    assert session.session_key != key
    del session["_auth_user_id"]
    session.save()
    assert stored()[0].user_id.startswith("anonymous:")


# Of a project.


def key_of(browser: Browser) -> str:
    cookie = browser.cookies.get("sessionid")
    return cookie.value if cookie else ""


@pytest.fixture
def ann() -> str:
    return id_of("ann")


def test_a_session_that_is_not_used_is_not_made(stored: Callable[[], list[Session]]) -> None:
    browser = Browser()
    response = browser.get("/idle")
    assert not response.has_header("Vary")
    assert browser.get("/read")["Vary"] == "Cookie"
    assert key_of(browser) == ""
    assert stored() == []


def test_a_login_gets_a_new_key_and_keeps_the_data(
    ann: str, stored: Callable[[], list[Session]]
) -> None:
    browser = Browser()
    browser.get("/set?cart=2", headers={"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/126.0"})
    before = key_of(browser)
    browser.get("/login/ann")
    assert key_of(browser) not in ("", before)
    assert not SessionStore().exists(before)
    told = browser.get("/read").json()
    assert told["user"] == "ann"
    assert told["data"]["cart"] == "2"
    (one,) = stored()
    assert (one.user_id, one.ip) == (ann, "127.0.0.1")


def test_a_logout_ends_the_session_and_its_cookie(
    ann: str, stored: Callable[[], list[Session]]
) -> None:
    browser = Browser()
    browser.get("/login/ann")
    browser.get("/logout")
    assert key_of(browser) == ""
    assert stored() == []


def test_a_user_is_logged_out_on_all_devices(ann: str, stored: Callable[[], list[Session]]) -> None:
    phone, laptop = Browser(), Browser()
    phone.get("/login/ann")
    laptop.get("/login/ann")
    assert len(stored()) == 2
    phone.get("/logout-everywhere")
    assert stored() == []
    for browser in (phone, laptop):
        assert browser.get("/read").json() == {"user": "", "data": {}}
        assert key_of(browser) == ""


def test_a_process_has_one_client() -> None:
    assert client() is client()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(WSGIHandler())
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_of_100_requests_at_once_on_a_session_none_loses_what_another_set(
    address: tuple[str, int], ann: str
) -> None:
    browser = Browser()
    browser.get("/login/ann")
    headers = {"Cookie": f"sessionid={key_of(browser)}"}

    def call(path: str) -> tuple[int, bytes]:
        connection = HTTPConnection(*address, timeout=30)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body

    with ThreadPoolExecutor(100) as pool:
        answers = pool.map(call, [f"/set?key{number}={number}" for number in range(100)])
        assert {status for status, _ in answers} == {200}
    kept = json.loads(call("/read")[1])["data"]
    assert {f"key{number}": str(number) for number in range(100)}.items() <= kept.items()
