"""Processes that are started with a bounded wait and stopped by their own id."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

START = 60.0  # Seconds. What has not come up by then never will.
STOP = 20.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def until(condition: Callable[[], bool], what: str, within: float = START) -> None:
    """Waits until `condition` holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"waited {within:.0f} s in vain: {what}"
        time.sleep(0.05)


class Process:
    """A program that runs until it is stopped; what it prints goes to a file of its name."""

    def __init__(self, name: str, command: list[str], directory: Path, **environment: str) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        # The programs refuse settings that they do not know, so they get none of ours.
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TOKENKEEP_")}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**kept, **environment}
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Comes back when it is ready; one that ends before fails with the end of what it printed."""

        def ready_or_ended() -> bool:
            if self._process.poll() is not None:
                raise AssertionError(f"{self.name} has ended:\n{self.log.read_text()[-2000:]}")
            return ready()

        try:
            until(ready_or_ended, f"{self.name} to come up")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-2000:]}") from error

    def stop(self) -> int:
        """Asks it to end, kills it if it does not, and answers its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(STOP)
