"""Stands between a client and tokenkeep: passes calls on, notes them, and fails them as it is told to."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

Fault = Callable[[Callable[[], bytes], grpc.ServicerContext], bytes]


@dataclass(frozen=True)
class Refusal:
    """A fault: the call is not passed on, but fails so. `retry_after` is in seconds."""

    code: grpc.StatusCode
    reason: str = ""
    retry_after: float | None = None

    def __call__(self, pass_on: Callable[[], bytes], context: grpc.ServicerContext) -> bytes:
        details = []
        if self.reason:
            details.append(packed(error_details_pb2.ErrorInfo(reason=self.reason, domain="tokenkeep")))
        if self.retry_after is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromNanoseconds(round(self.retry_after * 1e9))
            details.append(packed(retry))
        status = status_pb2.Status(code=self.code.value[0], message="as the check wants it", details=details)
        context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("aborting raises")


def lose_the_answer(pass_on: Callable[[], bytes], context: grpc.ServicerContext) -> bytes:
    """A fault: the call is carried out, but its answer does not arrive."""
    pass_on()
    context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost")
    raise AssertionError("aborting raises")


def hang(pass_on: Callable[[], bytes], context: grpc.ServicerContext) -> bytes:
    """A fault: there is no answer until the client gives up."""
    while context.is_active():
        time.sleep(0.05)
    return b""


@dataclass(frozen=True)
class Call:
    """When a call arrived, by the monotonic clock, and its request."""

    moment: float
    request: bytes


class Between(grpc.GenericRpcHandler):
    """A server at `address` that passes everything on to `target`. `calls` has what came, by the method's name."""

    def __init__(self, target: str) -> None:
        self.calls: dict[str, list[Call]] = defaultdict(list)
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._muted = 0.0  # Streams that were opened before this moment say nothing any more.
        self._upstream = grpc.insecure_channel(target)
        self._server = grpc.server(ThreadPoolExecutor(16), handlers=[self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self.server = f"http://{self.address}"
        self._server.start()

    def fail(self, method: str, *faults: Fault) -> None:
        """From now on notes the calls of `method` anew, and gives each of the next ones one of the faults."""
        self.calls[method] = []
        self._faults[method] = list(faults)

    def mute(self) -> None:
        """The streams that are open now stay open, and say nothing any more."""
        self._muted = time.monotonic()

    def stop(self) -> None:
        self._server.stop(0)
        self._upstream.close()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        if details.method.endswith("/WatchRevocations"):
            return grpc.unary_stream_rpc_method_handler(partial(self._stream, details.method))
        return grpc.unary_unary_rpc_method_handler(partial(self._unary, details.method))

    def _unary(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        call = self._upstream.unary_unary(method)
        pass_on = partial(call, request, metadata=credential(context), timeout=10)
        try:
            return self._fault(method, request)(pass_on, context)
        except grpc.RpcError as error:
            relay(error, context)
            raise

    def _stream(self, method: str, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        opened = time.monotonic()
        self._fault(method, request)(lambda: b"", context)
        frames = self._upstream.unary_stream(method)(request, metadata=credential(context))
        context.add_callback(frames.cancel)
        try:
            yield from (frame for frame in frames if opened > self._muted)
        except grpc.RpcError as error:
            relay(error, context)

    def _fault(self, method: str, request: bytes) -> Fault:
        name = method.rpartition("/")[2]
        self.calls[name].append(Call(time.monotonic(), request))
        faults = self._faults[name]
        return faults.pop(0) if faults else lambda pass_on, _: pass_on()


def credential(context: grpc.ServicerContext) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in context.invocation_metadata() if key == "authorization"]


def relay(error: Any, context: grpc.ServicerContext) -> None:
    """Tells the client what tokenkeep has told us."""
    context.set_trailing_metadata(error.trailing_metadata() or ())
    context.abort(error.code(), error.details())


def packed(message: Any) -> Packed:
    detail = Packed()
    detail.Pack(message)
    return detail
