"""A gRPC client that knows nothing but what server reflection tells it: no generated code."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.rpc import error_details_pb2
from grpc_status import rpc_status

DEADLINE = 10.0  # Seconds, for each call and each awaited frame.

Json = dict[str, Any]


@dataclass
class Refused(Exception):
    """A call that failed: its code, and what its rich details say."""

    code: str
    reason: str = ""
    domain: str = ""
    fields: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, error: grpc.RpcError) -> Refused:
        refused = cls(error.code().name)
        status = rpc_status.from_call(error)
        for detail in status.details if status else []:
            info, wrong = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                refused.reason, refused.domain = info.reason, info.domain
            elif detail.Unpack(wrong):
                refused.fields += [violation.field for violation in wrong.field_violations]
        return refused


class Service:
    """A service whose methods take and give JSON objects, made from what reflection tells of it."""

    def __init__(self, channel: grpc.Channel, descriptor: ServiceDescriptor, credential: str | None) -> None:
        self._channel = channel
        self._metadata = [("authorization", f"Bearer {credential}")] if credential else []
        self._methods = descriptor.methods_by_name

    def call(self, method: str, **request: Any) -> Json:
        descriptor = self._methods[method]
        try:
            response = self._callable(descriptor)(
                parsed(descriptor, request), metadata=self._metadata, timeout=DEADLINE
            )
        except grpc.RpcError as error:
            raise Refused.of(error) from error
        return json_format.MessageToDict(response, preserving_proto_field_name=True)

    def stream(self, method: str, **request: Any) -> Any:
        descriptor = self._methods[method]
        return self._callable(descriptor)(parsed(descriptor, request), metadata=self._metadata)

    def _callable(self, descriptor: MethodDescriptor) -> Callable[..., Any]:
        kind = self._channel.unary_stream if descriptor.server_streaming else self._channel.unary_unary
        return kind(
            f"/{descriptor.containing_service.full_name}/{descriptor.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(descriptor.output_type).FromString,
        )


def parsed(descriptor: MethodDescriptor, request: Json) -> Any:
    return json_format.ParseDict(request, message_factory.GetMessageClass(descriptor.input_type)())


class Watch:
    """A stream of revocations, read by a thread of its own."""

    def __init__(self, tokens: Service, workspace: str, cursor: str = "") -> None:
        self._frames: queue.Queue[Json | Refused] = queue.Queue()
        self._stream = tokens.stream("WatchRevocations", workspace=workspace, cursor=cursor)
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> Json:
        """The next frame; an error that ended the stream is raised."""
        frame = self._frames.get(timeout=DEADLINE)
        if isinstance(frame, Refused):
            raise frame
        return frame

    def event(self) -> Json:
        """The next frame that carries an event."""
        while "event" not in (frame := self.next()):
            pass
        return frame

    def stop(self) -> None:
        self._stream.cancel()

    def _read(self) -> None:
        try:
            for frame in self._stream:
                self._frames.put(json_format.MessageToDict(frame, preserving_proto_field_name=True))
        except grpc.RpcError as error:
            self._frames.put(Refused.of(error))


def refusal(call: Callable[[], Any]) -> Refused:
    """The refusal that `call` meets."""
    try:
        call()
    except Refused as refused:
        return refused
    raise AssertionError("was not refused")
