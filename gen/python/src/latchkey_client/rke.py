"""The messages of the package latchkey.rke.v1, which RkeService takes and gives."""

from .gen.latchkey.rke.v1.cipher_pb2 import *
from .gen.latchkey.rke.v1.content_server_pb2 import *
from .gen.latchkey.rke.v1.rke_service_pb2 import *
from .gen.latchkey.rke.v1.rke_service_pb2_grpc import RkeServiceStub as RkeServiceStub
from .gen.latchkey.rke.v1.session_pb2 import *
