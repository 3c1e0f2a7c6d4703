"""A TCP proxy that can forget its connections without a word, as balancers do, or hold them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread


@dataclass
class SilentProxy:
    address: str
    pairs: list[_Pair] = field(default_factory=list)
    mute: bool = False
    """Whether new connections are silent, too."""

    def forget(self) -> None:
        """What is sent on the connections that exist arrives nowhere from now on."""
        for pair in self.pairs:
            pair.silent = True

    def cut(self) -> None:
        """Ends the connections that exist."""
        for pair in self.pairs:
            pair.close()


@dataclass(eq=False)
class _Pair:
    near: socket.socket
    far: socket.socket
    silent: bool = False

    def pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while part := source.recv(65536):
                if not self.silent:
                    target.sendall(part)
        except OSError:
            pass
        if not self.silent:
            self.close()

    def close(self) -> None:
        for each in (self.near, self.far):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def silent_proxy(target: str) -> Iterator[SilentProxy]:
    """A proxy before the server at `target`."""
    host, _, port = target.rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = SilentProxy(f"127.0.0.1:{listener.getsockname()[1]}")

        def accept() -> None:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                try:
                    far = socket.create_connection((host, int(port)))
                except OSError:
                    near.close()
                    continue
                pair = _Pair(near, far, proxy.mute)
                proxy.pairs.append(pair)
                for ends in ((near, far), (far, near)):
                    Thread(target=pair.pump, args=ends, daemon=True).start()

        thread = Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            proxy.cut()
