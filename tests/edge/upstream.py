"""The service behind Envoy: it answers what reached it, and remembers it."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reached:
    """A request that came through. Header names are in lower case, and stand there as often as they were sent."""

    method: str
    path: str
    pairs: list[tuple[str, str]]

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.pairs)

    def identity(self) -> dict[str, str]:
        """What the edge told of the token: each header once, and none that only reads like one."""
        told = [(name, value) for name, value in self.pairs if name.replace("_", "-").startswith("x-tokenkeep-")]
        assert len(dict(told)) == len(told) and not any("_" in name for name, _ in told), told
        return dict(told)


class Upstream:
    """An echo on a port of its own."""

    def __init__(self) -> None:
        self.reached: list[Reached] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        reached = self.reached

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                pairs = [(name.lower(), value) for name, value in self.headers.items()]
                reached.append(Reached(self.command, self.path, pairs))
                body = json.dumps({"method": self.command, "path": self.path, "headers": dict(pairs)}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815, the names are the library's.

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        return Handler
