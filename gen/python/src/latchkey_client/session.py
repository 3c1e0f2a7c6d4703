"""The messages of the package latchkey.session.v1, which SessionService takes and gives."""

from .gen.latchkey.session.v1.app_policy_pb2 import *
from .gen.latchkey.session.v1.caller_session_pb2 import *
from .gen.latchkey.session.v1.session_pb2 import *
from .gen.latchkey.session.v1.session_service_pb2 import *
from .gen.latchkey.session.v1.session_service_pb2_grpc import (
    SessionServiceStub as SessionServiceStub,
)
from .gen.latchkey.session.v1.watch_pb2 import *
