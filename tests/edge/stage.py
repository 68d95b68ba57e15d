"""What the tests stand on: for each product two workspaces, each behind a listener of Envoy, and tokenkeep's API."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api import Api, Issued
from products import Denial, Product
from upstream import Upstream

if TYPE_CHECKING:
    from forward_auth import ForwardAuth

ADDED_BY_PROXIES = {"connection", "content-length", "date", "server"}
WAIT = 10.0  # Seconds, for an answer.


@dataclass(frozen=True)
class Answer:
    """What a client was answered. Header names are in lower case."""

    status: int
    phrase: str
    pairs: list[tuple[str, str]]
    body: str

    @classmethod
    def of(cls, response: http.client.HTTPResponse) -> Answer:
        pairs = [(name.lower(), value) for name, value in response.getheaders()]
        return cls(response.status, response.reason, pairs, response.read().decode())

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.pairs)

    def assert_is(self, denial: Denial) -> None:
        """That it is this denial and nothing else: status, headers and body."""
        assert self.status == denial.status, (self.status, self.body)
        told = sorted(pair for pair in self.pairs if pair[0] not in ADDED_BY_PROXIES)
        assert told == sorted(denial.headers.items()), told
        assert json.loads(self.body) == denial.body, self.body


@dataclass(frozen=True)
class Door:
    """A workspace of a product, as its clients reach it."""

    product: Product
    workspace: str
    port: int
    owner: str
    _stage: Stage = field(repr=False)

    def token(self, **wanted: Any) -> Issued:
        """A new token, with what the product's page fills in unless told otherwise; None leaves a field out."""
        given = {"workspace": self.workspace, "principal": self.owner, **self.product.asks, **wanted}
        return self._stage.api.create(**{name: value for name, value in given.items() if value is not None})

    def short_lived(self, seconds: int) -> Issued:
        """A token that lives as long as no product allows: it is from before the workspace had a profile."""
        self._stage.api.set_profile(self.workspace, "")
        try:
            wanted = {"workspace": self.workspace, "name": "short-lived", "lifetime": f"{seconds}s", "scopes": ["*"]}
            return self._stage.api.create(**wanted)
        finally:
            self._stage.api.set_profile(self.workspace, self.product.name)

    def send(self, headers: dict[str, str] | list[tuple[str, str]], method: str = "GET", path: str = "") -> Answer:
        """A client's request with these headers; in a list one may stand twice."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            connection.putrequest(method, path or self.product.path)
            for name, value in headers.items() if isinstance(headers, dict) else headers:
                connection.putheader(name, value)
            connection.putheader("content-length", "0")
            connection.endheaders()
            return Answer.of(connection.getresponse())
        finally:
            connection.close()

    def ask(self, secret: str, method: str = "GET", path: str = "", **headers: str) -> Answer:
        """A request of a client that presents the secret as the product has it."""
        return self.send({**self.product.presented(secret), **headers}, method, path)

    def assert_lets_in(self, secret: str, method: str = "GET", path: str = "") -> dict[str, str]:
        """That the request comes through; answers what the upstream was told of the token."""
        answer = self.ask(secret, method, path)
        assert answer.status == 200, (answer.status, answer.body)
        reached = self._stage.upstream.reached[-1]
        assert (reached.method, reached.path) == (method, path or self.product.path)
        return reached.identity()


@dataclass(frozen=True)
class Place:
    """Where the run's files and processes are."""

    scratch: Path
    address: str
    logs: list[Path]


class Stage:
    """One way of judging, through a server or through a sidecar, with a door to each workspace of each product."""

    def __init__(self, way: str, api: Api, upstream: Upstream, place: Place) -> None:
        self.way = way
        self.api = api
        self.upstream = upstream
        self.place = place
        self.doors: dict[str, list[Door]] = {}
        self.wrong_doors: dict[str, Door] = {}
        self.proxied_doors: dict[str, Door] = {}
        self.forward_auth: ForwardAuth

    def door(self, product: Product | str) -> Door:
        return self.doors[product if isinstance(product, str) else product.name][0]

    def wrong_door(self, product: Product) -> Door:
        """Where its first workspace is reached by a route that names a profile which does not exist."""
        return self.wrong_doors[product.name]

    def other_door(self, product: Product | str) -> Door:
        """Another workspace of the same product."""
        return self.doors[product if isinstance(product, str) else product.name][1]
