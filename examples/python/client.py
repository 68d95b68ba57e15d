"""A client of tokenkeep that tells a verdict from an outage, does nothing twice, and resumes its stream."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tokenkeep.v1 import token_service_pb2 as rpc
from tokenkeep.v1.token_service_pb2_grpc import TokenServiceStub

ATTEMPT = 2.0  # Seconds for one attempt: longer than any healthy answer takes.
PATIENCE = 5.0  # Seconds for a call with all its attempts.
SILENCE = 5.0  # Seconds. The stream has a frame every half second; where ten are missing, it is dead.
LIFETIME = 30 * 24 * 60 * 60  # Seconds that a new token lives.

# Without these a channel that lost its server waits up to two minutes before it connects again.
CHANNEL_OPTIONS = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]

Response = TypeVar("Response")

logger = logging.getLogger(__name__)


@dataclass
class Failure(Exception):
    """A call without an answer, which is no verdict: why, and for how many seconds the server asks not to be called."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    retry_after: float | None = None

    @classmethod
    def of(cls, error: grpc.RpcError) -> Failure:
        failure = cls(error.code(), error.details() or "")
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        status = rpc_status.from_call(error) or status_pb2.Status()  # No details where no server answered.
        for detail in status.details:
            if detail.Unpack(info):
                failure.reason = info.reason
            elif detail.Unpack(retry):
                failure.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
        return failure

    @property
    def may_pass(self) -> bool:
        """Whether another attempt can help. A limit stays reached, unless the server says for how long."""
        if self.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return self.retry_after is not None
        return self.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

    def pause(self, attempt: int) -> float:
        """Seconds until the next attempt: what the server asks for, and a random time, lest all come back at once."""
        return (self.retry_after or 0.0) + random.uniform(0.0, 0.1 * 2 ** min(attempt, 5))

    def __str__(self) -> str:
        return " ".join(filter(None, [self.code.name, self.reason, self.message]))


class TokenClient:
    """The tokens of one workspace. The credential is asked for at each call, so that it can be replaced meanwhile."""

    def __init__(self, channel: grpc.aio.Channel, credential: Callable[[], str], workspace: str) -> None:
        self._rpc = TokenServiceStub(channel)
        self._credential = credential
        self._workspace = workspace

    async def create(self, name: str, scopes: list[str]) -> rpc.CreateTokenResponse:
        """A new token, with the secret that is shown this once."""
        request = rpc.CreateTokenRequest(workspace=self._workspace, name=name, scopes=scopes)
        request.lifetime.FromSeconds(LIFETIME)
        request.request_id = str(uuid.uuid4())
        return await self._call(self._rpc.CreateToken, request)

    async def introspect(self, presented: str, required_scopes: list[str]) -> rpc.IntrospectTokenResponse:
        """The verdict on a presented token, or a `Failure`, which is none."""
        request = rpc.IntrospectTokenRequest(
            token=presented, workspace=self._workspace, required_scopes=required_scopes
        )
        return await self._call(self._rpc.IntrospectToken, request)

    async def revoke(self, id: str, reason: str) -> rpc.RevokeTokenResponse:
        """Ends a token for good."""
        request = rpc.RevokeTokenRequest(id=id, reason=reason, request_id=str(uuid.uuid4()))
        return await self._call(self._rpc.RevokeToken, request)

    async def watch(self, cursor: str) -> AsyncIterator[rpc.WatchRevocationsResponse]:
        """Each frame after `cursor`, once, however often the stream breaks; without a cursor, from now on."""
        attempt = 0
        while True:
            request = rpc.WatchRevocationsRequest(workspace=self._workspace, cursor=cursor)
            stream = self._rpc.WatchRevocations(request, metadata=self._metadata())
            heard = False
            try:
                while (frame := await asyncio.wait_for(stream.read(), SILENCE)) is not grpc.aio.EOF:
                    cursor, attempt, heard = frame.cursor, 0, True
                    yield frame
                failure = Failure(grpc.StatusCode.UNAVAILABLE, "the stream ended")
            except asyncio.TimeoutError:
                failure = Failure(grpc.StatusCode.UNAVAILABLE, "the stream fell silent")
            except grpc.RpcError as error:
                failure = Failure.of(error)
            finally:
                stream.cancel()
            # A stream ends with the credential that opened it; there may be another by now.
            outlived = heard and failure.code is grpc.StatusCode.UNAUTHENTICATED
            if not failure.may_pass and not outlived:
                raise failure
            logger.warning("resuming the stream: %s", failure)
            await asyncio.sleep(failure.pause(attempt))
            attempt += 1

    async def _call(self, method: Callable[..., Awaitable[Response]], request: Message) -> Response:
        """The answer to a request that can safely be sent again. What changes something carries a request id, the
        same at each attempt, so that it is done once even if an answer was lost."""
        deadline = time.monotonic() + PATIENCE
        for attempt in count():
            try:
                timeout = min(ATTEMPT, deadline - time.monotonic())
                return await method(request, timeout=timeout, metadata=self._metadata())
            except grpc.RpcError as error:
                failure = Failure.of(error)
            pause = failure.pause(attempt)
            if not failure.may_pass or time.monotonic() + pause > deadline:
                raise failure
            await asyncio.sleep(pause)
        raise AssertionError("counting does not end")

    def _metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self._credential()}")]
