"""Serves `POST /user-tokens` as the document of Qualytics describes it, on tokenkeep."""

from __future__ import annotations

import argparse
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from service_tokens import Refused, ServiceTokens, Settings, Wish

MOST_BYTES = 64 * 1024  # Of a request's body.
PATIENCE = 10.0  # Seconds, for a client to send what it announced.


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8090", help="default: %(default)s")
    host, _, port = parser.parse_args().listen.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), handler(ServiceTokens(Settings.from_environment())))
    print(f"listening on http://{host}:{server.server_address[1]}", flush=True)
    server.serve_forever()
    return 0


def handler(tokens: ServiceTokens) -> type[BaseHTTPRequestHandler]:
    """The HTTP side over `tokens`."""

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_POST(self) -> None:  # noqa: N802, the name is the library's.
            try:
                self.answer(201, self.created())
            except Refused as refused:
                self.answer(refused.status, {"detail": refused.detail})

        def created(self) -> dict[str, Any]:
            # Who asks is settled before what is asked, so that strangers learn nothing.
            if self.path != "/user-tokens":
                raise Refused(404, "Not Found")
            administrator = tokens.administrator(self.bearer())
            return tokens.create(Wish.parse(self.body()), administrator)

        def bearer(self) -> str:
            scheme, _, token = self.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise Refused(401, "Not authenticated")
            return token

        def body(self) -> Any:
            length = self.headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > MOST_BYTES:
                raise Refused(413, "the body is too long")
            try:
                return json.loads(self.rfile.read(int(length)))
            except ValueError as error:
                raise Refused(422, "the body must be JSON") from error

        def answer(self, status: int, told: dict[str, Any]) -> None:
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            # The answer to a creation holds the secret.
            self.send_header("Cache-Control", "no-store")
            if status == 401:
                self.send_header("WWW-Authenticate", "Bearer")
            if status == 503:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(body)

    return Handler


if __name__ == "__main__":
    sys.exit(main())
