"""Proxies before a server that can be killed: see test/system/clients/proxies."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from .servers import ROOT

ARGUMENTS = {
    "nginx": "-c CONFIG -e FOLDER/error.log",
    "haproxy": "-q -f CONFIG",
    "caddy": "run --adapter caddyfile --config CONFIG",
    "envoy": "-c CONFIG --log-level off --disable-hot-restart",
}


@dataclass
class Server:
    """A server over a database file, which keeps its address when it is killed and started."""

    folder: Path
    port: int = field(default_factory=lambda: free_port())
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = {
            "LATCHKEY_STORE": f"sqlite:{self.folder}/latchkey.db",
            "LATCHKEY_GRPC": f"127.0.0.1:{self.port}",
            "LATCHKEY_HTTP": "127.0.0.1:0",
            "LATCHKEY_COMMAND": "off",
        }
        self._process = subprocess.Popen(
            [str(ROOT / "node_modules/.bin/node"), "dist/src/bin.js", "serve"],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
        )
        wait_until_it_listens(self.port)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def proxy(name: str, folder: Path, server_port: int) -> Iterator[str]:
    """The address of a proxy of the server."""
    port, http_port = free_port(), free_port()
    config = folder / "proxy.yaml"
    words = {
        "GRPC_PORT": str(port),
        "HTTP_PORT": str(http_port),
        "GRPC_SERVER": str(server_port),
        "HTTP_SERVER": str(server_port),  # Which nobody calls.
        "FOLDER": str(folder),
        "CONFIG": str(config),
    }

    def fill(text: str) -> str:
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    config.write_text(fill((ROOT / f"test/system/clients/proxies/{name}.conf").read_text()))
    program = shutil.which(name)
    assert program is not None
    with subprocess.Popen(
        [program, *fill(ARGUMENTS[name]).split()],
        env={**os.environ, "HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until_it_listens(port)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_it_listens(port: int) -> None:
    end = monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if monotonic() > end:
                raise
            sleep(0.02)
