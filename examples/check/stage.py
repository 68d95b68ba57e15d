"""What the check stands on: the server, the examples as processes, and a client of its own."""

from __future__ import annotations

import glob
import os
import re
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from tokenkeep.v1 import token_service_pb2 as rpc
from tokenkeep.v1.token_service_pb2_grpc import TokenServiceStub

EXAMPLES = Path(__file__).parent.parent
DEADLINE = 60.0  # Seconds. What has not come about by then is taken as never.
WORKSPACE = "acme"

COMMANDS = {
    "python": [".venv/bin/python", "tokens.py"],
    "node": ["node", "tokens.js"],
    "go": ["./tokens"],
    # A program that ends at once is not worth optimising.
    "java": ["java", "-XX:TieredStopAtLevel=1", "-jar", "target/tokens.jar"],
}


def until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` gives as soon as it gives something."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {DEADLINE:.0f} s in vain: {what}"
        time.sleep(0.05)
    return found


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def environment(**settings: str) -> dict[str, str]:
    """Ours, with no other settings of tokenkeep than these."""
    return {**{key: value for key, value in os.environ.items() if not key.startswith("TOKENKEEP_")}, **settings}


class Server:
    """`tokenkeep dev` over one data directory, that can be killed and started anew."""

    def __init__(self, binary: Path, scratch: Path) -> None:
        self._binary = binary
        self._scratch = scratch
        self.data = scratch / "data"
        self.ca_file = scratch / "certificate.pem"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, address: str, *options: str) -> None:
        command = [str(self._binary), "dev", "--data-dir", str(self.data), "--listen", address]
        with (self._scratch / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--operations-listen", "none", *options], stdout=log, stderr=log, env=environment()
            )
        until(lambda: self._is_ready(address), "tokenkeep to come up")

    def start_with_tls(self, address: str) -> None:
        key = self._scratch / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            + ["-keyout", str(key), "-out", str(self.ca_file), "-days", "2", "-subj", "/CN=tokenkeep"]
            + ["-addext", "subjectAltName=IP:127.0.0.1"],
            check=True,
            capture_output=True,
        )
        self.start(address, "--tls-certificate", str(self.ca_file), "--tls-key", str(key))

    def _is_ready(self, address: str) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"tokenkeep has ended:\n{(self._scratch / 'log').read_text()[-2000:]}")
        with suppress(OSError), socket.create_connection(tuple(address.split(":")), 1):
            return (self.data / "operator-token").exists()
        return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    @contextmanager
    def frozen_database(self) -> Iterator[None]:
        """PostgreSQL is there, and does nothing."""
        (pid_file,) = glob.glob(str(self.data / "**/postmaster.pid"), recursive=True)
        postmaster = int(Path(pid_file).read_text().split()[0])
        processes = [postmaster, *children(postmaster)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)


def children(process: int) -> list[int]:
    found = []
    for stat in glob.glob("/proc/[0-9]*/stat"):
        with suppress(OSError):  # It has ended meanwhile.
            pid, parent = re.match(r"(\d+) \(.*\) \S (\d+)", Path(stat).read_text(), re.DOTALL).groups()
            if int(parent) == process:
                found.append(int(pid))
    return found


class Operator:
    """A client of the check's own that may do everything."""

    def __init__(self, address: str, credential: str, ca: bytes | None = None) -> None:
        transport = grpc.ssl_channel_credentials(ca) if ca else None
        self._channel = grpc.secure_channel(address, transport) if transport else grpc.insecure_channel(address)
        self._rpc = TokenServiceStub(self._channel)
        self._options = {"metadata": [("authorization", f"Bearer {credential}")], "timeout": 10, "wait_for_ready": True}

    def create(self, name: str, scope: str = "articles:find") -> rpc.CreateTokenResponse:
        request = rpc.CreateTokenRequest(workspace=WORKSPACE, name=name, scopes=[scope])
        return self._rpc.CreateToken(request, **self._options)

    def revoke(self, id: str) -> None:
        self._rpc.RevokeToken(rpc.RevokeTokenRequest(id=id, reason="lost laptop"), **self._options)

    def revoked(self, name: str) -> str:
        """The id of a token that was created and revoked."""
        id = self.create(name).token.id
        self.revoke(id)
        return id

    def is_told_a_verdict(self) -> bool:
        try:
            self._rpc.IntrospectToken(rpc.IntrospectTokenRequest(token="tk_mistyped"), **self._options)
        except grpc.RpcError:
            return False
        return True

    def named(self, name: str) -> list[Any]:
        request = rpc.ListTokensRequest(workspace=WORKSPACE, filter=rpc.TokenFilter(name_prefix=name))
        return list(self._rpc.ListTokens(request, **self._options).tokens)


@dataclass(frozen=True)
class Told:
    """What a program told. What it printed may be a secret, so a failing check shows the rest only."""

    code: int
    output: str = field(repr=False)
    errors: str


class Example:
    """The example in one language, against the server at `address`."""

    def __init__(self, name: str, address: str, scratch: Path) -> None:
        self.name = name
        self.address = address
        self.directory = EXAMPLES / name
        self._scratch = scratch / name
        self._scratch.mkdir()

    def run(self, *arguments: str, given: str = "", **settings: str) -> Told:
        done = subprocess.run(
            [*COMMANDS[self.name], *arguments],
            cwd=self.directory,
            env=self.environment(settings),
            input=f"{given}\n",
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        return Told(done.returncode, done.stdout.strip(), done.stderr)

    def shell(self, commands: str) -> str:
        """What a person's shell prints who pastes the commands, in the example's folder."""
        done = subprocess.run(
            ["bash", "-c", commands],
            cwd=self.directory,
            env=environment(TOKENKEEP_SERVER=f"http://{self.address}"),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert not done.stderr, done.stderr
        return done.stdout

    def watch(self, **settings: str) -> Watcher:
        """Begins to watch, from now on."""
        return Watcher(self, settings)

    def environment(self, settings: dict[str, str]) -> dict[str, str]:
        credential = str(EXAMPLES / "credential")
        ours = {"TOKENKEEP_SERVER": f"http://{self.address}", "TOKENKEEP_CREDENTIAL_FILE": credential}
        return environment(**{**ours, "TOKENKEEP_WORKSPACE": WORKSPACE, **settings})

    def scratch(self, name: str) -> Path:
        return self._scratch / name


class Watcher:
    """An example that watches. What it prints is kept, also of the times before it was started again."""

    def __init__(self, example: Example, settings: dict[str, str]) -> None:
        self.example = example
        self.lines: list[str] = []
        self.cursor_file = example.scratch(f"cursor-{uuid.uuid4()}")
        self._settings = settings
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*COMMANDS[self.example.name], "watch", str(self.cursor_file)],
            cwd=self.example.directory,
            env=self.example.environment(self._settings),
            stdout=subprocess.PIPE,
            stderr=self.example.scratch("watch.log").open("ab"),
            text=True,
        )
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()

    def up(self) -> Watcher:
        """Comes back when it watches: the first frame has come, and its cursor is kept."""
        until(lambda: self.cursor_file.exists() or not self._collector.is_alive(), f"{self.example.name} to watch")
        assert self.cursor_file.exists(), f"the watcher in {self.example.name} has ended"
        return self

    def hears(self, part: str) -> str:
        """The first line that contains `part`, waited for."""
        return until(
            lambda: next((line for line in list(self.lines) if part in line), None),
            f"{self.example.name} to print {part!r}; it has printed {self.lines}",
        )

    def revoked(self) -> list[str]:
        """The ids of the tokens of which it printed that they were revoked, in its order."""
        words = [line.split() for line in self.lines]
        return [word[2] for word in words if len(word) > 2 and word[1] == "REVOKED"]

    def close(self) -> None:
        """Stops it; `start` goes on from its cursor."""
        self._process.terminate()
        self._process.wait(DEADLINE)
        self._collector.join(DEADLINE)

    def _collect(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
