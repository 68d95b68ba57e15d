"""A proxy other than Envoy: it sends `GET /check` with the client's headers, and goes by the status and the headers."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from urllib.parse import urlencode

from stage import WAIT, Answer, Door


@dataclass(frozen=True)
class ForwardAuth:
    """Where such proxies ask, and the credential that they show there, if any."""

    port: int
    credential: str | None = field(repr=False)

    def ask(self, door: Door, headers: dict[str, str], **wanted: str) -> Answer:
        """What the proxy is told about a client's request to the door."""
        query = urlencode({"profile": door.product.name, "workspace": door.workspace, **wanted})
        own = {"Proxy-Authorization": f"Bearer {self.credential}"} if self.credential else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            connection.request("GET", f"/check?{query}", headers={**headers, **own})
            return Answer.of(connection.getresponse())
        finally:
            connection.close()
