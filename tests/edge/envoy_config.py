"""Envoy's configuration: a listener for each product's workspace, whose every route asks tokenkeep first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from products import Product, Route

TYPES = "type.googleapis.com/envoy.extensions"
FILTER = "envoy.filters.http.ext_authz"
ASKED = "tokenkeep"
BEHIND = "upstream"

Json = dict[str, Any]


@dataclass(frozen=True)
class Listener:
    """Where a workspace of a product is reached. `profile` is what its routes name; a wrong one makes a wrong route."""

    port: int
    product: Product
    workspace: str
    profile: str


@dataclass(frozen=True)
class Asked:
    """Who judges: a TCP address or a Unix socket, and the credential to show there, if any."""

    address: Json
    credential: str | None

    @classmethod
    def server(cls, port: int, credential: str) -> Asked:
        return cls(tcp(port), credential)

    @classmethod
    def sidecar(cls, socket: str) -> Asked:
        return cls({"pipe": {"path": socket}}, None)


def config(listeners: list[Listener], asked: Asked, upstream_port: int) -> Json:
    """The whole configuration."""
    return {
        "static_resources": {
            "listeners": [listener_config(listener, asked) for listener in listeners],
            "clusters": [
                {**cluster(ASKED, asked.address), "typed_extension_protocol_options": speaks_http2()},
                cluster(BEHIND, tcp(upstream_port)),
            ],
        }
    }


def tcp(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name: str, address: Json) -> Json:
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
    }


def speaks_http2() -> Json:
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }


def listener_config(listener: Listener, asked: Asked) -> Json:
    routes = [route_config(route, listener) for route in listener.product.routes]
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": listener.workspace,
        # The address of a client is that of its connection, whatever it says in a header.
        "use_remote_address": True,
        "route_config": {"virtual_hosts": [{"name": listener.workspace, "domains": ["*"], "routes": routes}]},
        "http_filters": [asking(asked), router()],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": f"{listener.workspace}:{listener.port}", "address": tcp(listener.port), "filter_chains": [chain]}


def asking(asked: Asked) -> Json:
    """The filter. An outage is 503: by Envoy's default it would be 403, which is a verdict."""
    metadata = [{"key": "authorization", "value": f"Bearer {asked.credential}"}] if asked.credential else []
    service = {"envoy_grpc": {"cluster_name": ASKED}, "timeout": "5s", "initial_metadata": metadata}
    return {
        "name": FILTER,
        "typed_config": {
            "@type": f"{TYPES}.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "grpc_service": service,
            "failure_mode_allow": False,
            "status_on_error": {"code": "ServiceUnavailable"},
        },
    }


def router() -> Json:
    return {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}


def route_config(route: Route, listener: Listener) -> Json:
    match: Json = {"prefix": route.prefix}
    if route.method:
        match["headers"] = [{"name": ":method", "string_match": {"exact": route.method}}]
    wanted = {
        "profile": listener.profile,
        "workspace": listener.workspace,
        "scopes": route.scopes,
        "audience": route.audience,
    }
    given = {key: value for key, value in wanted.items() if value}
    of_route = {
        "@type": f"{TYPES}.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        "check_settings": {"context_extensions": given},
    }
    return {"match": match, "route": {"cluster": BEHIND}, "typed_per_filter_config": {FILTER: of_route}}
