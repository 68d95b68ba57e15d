"""What the tests stand on: the service's processes, a client of it, and the cable between it and tokenkeep."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

HERE = Path(__file__).parent
DEADLINE = 20.0  # Seconds. What has not come about by then is taken as never.


def until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` gives as soon as it gives something."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {DEADLINE:.0f} s in vain: {what}"
        time.sleep(0.05)
    return found


class Process:
    """A script of this folder, running; its printed lines are kept."""

    def __init__(self, script: str, *options: str, environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        command = [sys.executable, str(HERE / script), *options]
        self._process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()

    def line_with(self, part: str) -> str:
        """The first line that contains `part`, waited for as long as the process may still print it."""

        def found() -> str | None:
            ended = not self._collector.is_alive()
            line = next((line for line in list(self.lines) if part in line), None)
            assert line or not ended, f"ended without a line with {part!r}: {self.lines}"
            return line

        return until(found, f"a line with {part!r}")

    def exit_code(self) -> int:
        return self._process.wait(timeout=DEADLINE)

    def stop(self) -> None:
        self._process.terminate()
        self.exit_code()

    def _collect(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))


@contextmanager
def running(script: str, *options: str, environment: dict[str, str]) -> Iterator[Process]:
    process = Process(script, *options, environment=environment)
    try:
        yield process
    finally:
        process.stop()


@dataclass(frozen=True)
class Answer:
    """What the service answered. A failing test does not print the text: it may hold a secret."""

    status: int
    headers: http.client.HTTPMessage
    text: str = field(repr=False)

    @property
    def data(self) -> Any:
        return json.loads(self.text)["data"]


class Service:
    """The service as its clients, its administrators' programs and their browsers use it."""

    def __init__(self, address: str, admin_key: str) -> None:
        self.address = address
        self.admin_key = admin_key

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=DEADLINE)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def articles(self, authorization: str | None, method: str = "GET", path: str = "", given: Any = None) -> Answer:
        """A client's request to the guarded API."""
        headers = {"Content-Type": "application/json"}
        if authorization is not None:
            headers["Authorization"] = authorization
        return self.ask(method, f"/api/articles{path}", json.dumps(given).encode(), headers)

    def admin(self, method: str, path: str = "", **given: Any) -> Answer:
        """A request of an administrators' program."""
        headers = {"Content-Type": "application/json", "X-Admin-Key": self.admin_key}
        return self.ask(method, f"/admin/api-tokens{path}", json.dumps(given).encode(), headers)

    def created(self, **given: Any) -> dict[str, Any]:
        """A new token with its secret: read-only and unlimited unless told otherwise."""
        answer = self.admin("POST", **{"name": "a token", "duration": "unlimited", "type": "read-only", **given})
        assert answer.status == 201, answer.text
        return answer.data

    def listed(self) -> dict[str, dict[str, Any]]:
        """The first page of the list, by id."""
        return {token["id"]: token for token in self.admin("GET").data}


class Browser:
    """A browser: keeps cookies, and says where a form was sent from."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._cookie = ""

    def get(self, path: str) -> Answer:
        return self._remember(self._service.ask("GET", path, headers={"Cookie": self._cookie}))

    def send(self, path: str, origin: str | None = None, **form: str) -> Answer:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": self._cookie,
            "Origin": origin or f"http://{self._service.address}",
        }
        return self._remember(self._service.ask("POST", path, urlencode(form).encode(), headers))

    def _remember(self, answer: Answer) -> Answer:
        if "Set-Cookie" in answer.headers:
            self._cookie = answer.headers["Set-Cookie"].split(";")[0]
        return answer


class Cable:
    """Carries connections to tokenkeep, and can be cut (connections break) or muted (nothing comes through)."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._whole = threading.Event()
        self._audible = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.mend()
        threading.Thread(target=self._accept, daemon=True).start()

    def mend(self) -> None:
        self._whole.set()
        self._audible.set()

    def mute(self) -> None:
        self._audible.clear()

    def cut(self) -> None:
        self._whole.clear()
        for end in list(self._open):
            self._close(end)

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            try:
                far = socket.create_connection(self._target) if self._whole.is_set() else None
            except OSError:
                far = None
            if far is None:
                near.close()
                continue
            self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while received := source.recv(65536):
                self._audible.wait()
                sink.sendall(received)
        except OSError:
            pass
        finally:
            self._close(source)
            self._close(sink)

    def _close(self, end: socket.socket) -> None:
        """Shuts down before closing, since a close alone does not wake a thread that is reading."""
        self._open.discard(end)
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
