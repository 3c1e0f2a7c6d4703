"""Makes outages under a Flask and a Django app, and prints what a visitor meets."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from django.conf import settings
from django.test import Client as DjangoBrowser
from flask import Flask, session

from latchkey_client import Client, connect, django
from latchkey_client.flask import LatchkeySessions
from tests import django_project
from tests.servers import ROOT
from tests.silent_proxy import SilentProxy, silent_proxy

Visit = Callable[[str], tuple[int, str]]
"""Visits the path; the status, and what the cookie has then."""


class Server:
    """A process of Latchkey with a port of its own; its sessions outlive it."""

    def __init__(self, folder: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self._folder = folder
        self.start()

    def start(self) -> None:
        env = {
            **os.environ,
            "LATCHKEY_STORE": f"sqlite:{self._folder}/latchkey.db",
            "LATCHKEY_GRPC": self.address,
            "LATCHKEY_HTTP": "127.0.0.1:0",
            "LATCHKEY_COMMAND": "off",
            "LATCHKEY_LOG_LEVEL": "silent",
            "PATH": f"{ROOT}/node_modules/.bin:{os.environ['PATH']}",
        }
        program = ["node", str(ROOT / "dist/src/bin.js"), "serve"]
        self._process = subprocess.Popen(program, env=env, cwd=self._folder)
        host, _, port = self.address.partition(":")
        ends_at = monotonic() + 30
        while True:
            try:
                socket.create_connection((host, int(port))).close()
                return
            except OSError:
                if monotonic() > ends_at:
                    raise
                sleep(0.02)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)


def flask_visit(client: Client) -> Visit:
    app = Flask("drill")
    app.session_interface = LatchkeySessions(client, "drill")

    @app.get("/use")
    def use() -> str:
        session["n"] = session.get("n", 0) + 1
        session["_user_id"] = "ann"
        return ""

    browser = app.test_client()

    def visit(path: str) -> tuple[int, str]:
        status = browser.get(path).status_code
        cookie = browser.get_cookie("session")
        return status, cookie.value if cookie else ""

    return visit


def django_visit() -> Visit:
    browser = DjangoBrowser(raise_request_exception=False)

    def visit(path: str) -> tuple[int, str]:
        status = browser.get("/set?a=1").status_code
        cookie = browser.cookies.get("sessionid")
        return status, cookie.value if cookie else ""

    return visit


def timed(visit: Visit) -> tuple[float, int, str]:
    start = monotonic()
    status, cookie = visit("/use")
    return monotonic() - start, status, cookie


def row(
    name: str, framework: str, visit: Visit, begin: Callable[[], Any], end: Callable[[], Any]
) -> None:
    _, status, before = timed(visit)
    assert status == 200, f"{name}: {status} before the fault"
    begin()
    first, first_status, kept = timed(visit)
    following, next_status, still = timed(visit)
    end()
    back = monotonic()
    status = 0
    while status != 200:
        assert monotonic() - back < 60, f"{name}: no recovery"
        _, status, cookie = timed(visit)
        sleep(0.01)
    recovery = monotonic() - back
    cookie = "kept" if before == kept == still == cookie else "LOST"
    print(
        f"| {framework} | {name} | {first_status} after {first:.2f} s "
        f"| {next_status} after {following:.2f} s | {cookie} | {recovery:.2f} s |",
        flush=True,
    )


@contextmanager
def flask_app(address: str) -> Iterator[Visit]:
    with connect(address) as client:
        yield flask_visit(client)


@contextmanager
def django_app(address: str) -> Iterator[Visit]:
    settings.LATCHKEY = {"address": address, "app": "drill"}
    django._client.cache_clear()
    yield django_visit()
    django.client().close()


def drill(server: Server, proxy: SilentProxy) -> None:
    def be_silent() -> None:
        proxy.mute = True
        proxy.forget()

    def speak() -> None:
        proxy.mute = False

    faults: list[tuple[str, str, Callable[[], Any], Callable[[], Any]]] = [
        ("port refuses", server.address, server.kill, server.start),
        ("host silent, old and new connections", proxy.address, be_silent, speak),
        ("connection forgotten", proxy.address, proxy.forget, lambda: None),
        ("connections cut", proxy.address, proxy.cut, lambda: None),
        (
            "server stopped (SIGSTOP)",
            server.address,
            lambda: server.signal(signal.SIGSTOP),
            lambda: server.signal(signal.SIGCONT),
        ),
    ]
    for name, address, begin, end in faults:
        for framework, app in (("Flask", flask_app), ("Django", django_app)):
            with app(address) as visit:
                row(name, framework, visit, begin, end)


def main() -> None:
    logging.disable(logging.CRITICAL)
    folder = str(django_project.folder)
    print("| | fault | first visit | the next | cookie | recovered after |")
    print("|---|---|---|---|---|--:|")
    server = Server(folder)
    try:
        with silent_proxy(server.address) as proxy:
            drill(server, proxy)
    finally:
        server.kill()


if __name__ == "__main__":
    main()
