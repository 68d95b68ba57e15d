"""The one way to tokenkeep: where it is, who we are to it, and how long we wait for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from errors import NotGranted, WorkspaceExists, meaning_of
from tokenkeep.v1 import token_service_pb2, token_service_pb2_grpc, workspace_service_pb2, workspace_service_pb2_grpc

ANSWER_WITHIN = 2.0  # Seconds. Longer than any healthy answer takes, shorter than people's patience.
SILENCE = 5.0  # Seconds. The stream carries a frame every half second; ten missed ones are a dead stream.

# Without these a channel that lost its server waits up to two minutes before it tries again.
CHANNEL_OPTIONS = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]


@dataclass(frozen=True)
class Settings:
    """Where tokenkeep is (`host:port`), the file with our credential, the CA it is verified by, and our workspace."""

    address: str
    token_file: Path
    ca_file: Path | None
    workspace: str

    @classmethod
    def from_environment(cls) -> Settings:
        """Reads the `TOKENKEEP_…` variables; without a CA file the connection is plaintext, fit for loopback only."""
        ca_file = os.environ.get("TOKENKEEP_CA_FILE")
        token_file = os.environ.get("TOKENKEEP_TOKEN_FILE")
        if not token_file:
            raise SystemExit("TOKENKEEP_TOKEN_FILE is not set: it names the file that holds this backend's credential")
        return cls(
            address=os.environ.get("TOKENKEEP_ADDRESS", "127.0.0.1:50051"),
            token_file=Path(token_file),
            ca_file=Path(ca_file) if ca_file else None,
            workspace=os.environ.get("TOKENKEEP_WORKSPACE", "guarded-backend"),
        )


class Connection:
    """A channel to tokenkeep that presents our credential and turns failures into the errors of `errors.py`."""

    def __init__(self, settings: Settings) -> None:
        self.workspace = settings.workspace
        self._token_file = settings.token_file
        channel = open_channel(settings)
        self.tokens = token_service_pb2_grpc.TokenServiceStub(channel)
        self.workspaces = workspace_service_pb2_grpc.WorkspaceServiceStub(channel)

    def call(self, method: Callable[..., Any], request: Any) -> Any:
        """Asks once and answers the response, or raises the error's meaning."""
        try:
            return method(request, timeout=ANSWER_WITHIN, metadata=self._credential())
        except grpc.RpcError as error:
            raise meaning_of(error) from error

    def watch(self, cursor: str) -> Iterator[token_service_pb2.WatchRevocationsResponse]:
        """The frames after `cursor` until the stream fails, which it does at the latest after `SILENCE` seconds."""
        request = token_service_pb2.WatchRevocationsRequest(workspace=self.workspace, cursor=cursor)
        stream = self.tokens.WatchRevocations(request, metadata=self._credential())
        alarm = Alarm(SILENCE, stream.cancel)
        try:
            for frame in stream:
                alarm.put_off()
                yield frame
        except grpc.RpcError as error:
            raise meaning_of(error) from error
        finally:
            alarm.stop()
            stream.cancel()

    def ensure_workspace(self) -> None:
        """Creates our workspace where it is missing. One who may not create workspaces is given a workspace."""
        workspace = workspace_service_pb2.Workspace(id=self.workspace, name="Guarded backend", token_prefix="gb")
        request = workspace_service_pb2.CreateWorkspaceRequest(workspace=workspace)
        with suppress(WorkspaceExists, NotGranted):
            self.call(self.workspaces.CreateWorkspace, request)

    def _credential(self) -> list[tuple[str, str]]:
        """Read anew for each call, so that the credential can be replaced without a restart."""
        try:
            return [("authorization", f"Bearer {self._token_file.read_text().strip()}")]
        except OSError as error:
            raise NotGranted(f"cannot read the credential: {error}") from error


def open_channel(settings: Settings) -> grpc.Channel:
    """Opens the channel, which connects at the first call."""
    if settings.ca_file is None:
        return grpc.insecure_channel(settings.address, CHANNEL_OPTIONS)
    credentials = grpc.ssl_channel_credentials(settings.ca_file.read_bytes())
    return grpc.secure_channel(settings.address, credentials, CHANNEL_OPTIONS)


class Alarm:
    """Calls `action` once nobody has put it off for `seconds`."""

    def __init__(self, seconds: float, action: Callable[[], Any]) -> None:
        self._seconds = seconds
        self._action = action
        self._start()

    def put_off(self) -> None:
        self._timer.cancel()
        self._start()

    def stop(self) -> None:
        self._timer.cancel()

    def _start(self) -> None:
        self._timer = threading.Timer(self._seconds, self._action)
        self._timer.daemon = True
        self._timer.start()
