"""A SessionService whose answers a test decides, on a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from latchkey_client.gen.latchkey.session.v1 import session_service_pb2_grpc as service

Handle = Callable[[Any, grpc.ServicerContext], Any]


@contextmanager
def fake_server(address: str = "127.0.0.1:0", **handlers: Handle) -> Iterator[str]:
    """Its address, the port as bound. A handler has the name of its RPC; what is not handled is
    UNIMPLEMENTED."""
    base: Any = service.SessionServiceServicer
    methods = {name: staticmethod(handle) for name, handle in handlers.items()}
    servicer = type("Handlers", (base,), methods)()
    server = grpc.server(ThreadPoolExecutor(4))
    service.add_SessionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def fail(context: grpc.ServicerContext, code: grpc.StatusCode, *details: Message) -> None:
    """Ends the call with this code and these details."""
    packed = []
    for detail in details:
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    status = Status(code=code.value[0], message="as told", details=packed)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, "as told")
