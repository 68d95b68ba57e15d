"""Runs the examples in four languages against a live tokenkeep, and checks what each did.

Prints `PASSED …` or `FAILED …` for each promise, `N passed, N failed` last, and exits 1 if one failed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from promises import ALLOWED, NO_ANSWER, PROMISES, Walk
from stage import COMMANDS, EXAMPLES, Example, Operator, Server, environment, free_address, until


class Check:
    """The walk of all examples, each promise reported as soon as it is known."""

    def __init__(self, server: Server, scratch: Path, only: str) -> None:
        self.server = server
        self.address = free_address()
        server.start(self.address)
        self.credential = (server.data / "operator-token").read_text().strip()
        self.operator = Operator(self.address, self.credential)
        set_up(self.address, server.data)
        self.examples = [Example(name, self.address, scratch) for name in COMMANDS if only in ("", name)]
        self.results: Counter[str] = Counter()
        self._lock = threading.Lock()

    def promise(self, example: Example, name: str, step: Callable[[], Any]) -> None:
        """Reports whether the step went through."""
        try:
            step()
        except Exception as error:
            self._report("FAILED", f"{example.name}: {name}: {type(error).__name__}: {error}")
        else:
            self._report("PASSED", f"{example.name}: {name}")

    def _report(self, result: str, line: str) -> None:
        with self._lock:  # Several walk at a time.
            self.results[result] += 1
            print(result, line, flush=True)

    def each(self, name: str, step: Callable[[Example], Any]) -> None:
        """One promise of all the examples, at the same time."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda example: self.promise(example, name, lambda: step(example)), self.examples))

    def beside_a_server_that_stays(self) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._walk, self.examples))

    def _walk(self, example: Example) -> None:
        walk = Walk(example, self.operator)
        for step in PROMISES:
            self.promise(example, step.__name__.replace("_", " "), lambda step=step: step(walk))
        walk.between.stop()

    def without_a_database(self) -> None:
        secrets = {example.name: self.operator.create("frozen").secret for example in self.examples}
        with self.server.frozen_database():
            # For the length of a lease it answers from its cache.
            until(lambda: not self.operator.is_told_a_verdict(), "tokenkeep to be unable to decide")
            self.each("no verdict without a database", lambda it: undecided(it, secrets[it.name]))
        until(self.operator.is_told_a_verdict, "tokenkeep to decide again")
        self.each("a verdict when it is back", lambda it: decided(it, secrets[it.name]))

    def through_restarts(self) -> None:
        """Revokes while the watchers cannot hear it: each has to print every revocation once, in order."""
        with ExitStack() as stack:
            watchers = {example.name: example.watch() for example in self.examples}
            for watcher in watchers.values():
                stack.callback(watcher.close)
            for watcher in watchers.values():
                watcher.up()
            secrets = {example.name: self.operator.create("outage").secret for example in self.examples}
            revoked = [self.operator.revoked("heard at once")]
            self.each("hears of a revocation", lambda it: watchers[it.name].hears(revoked[0]))

            self.server.kill()
            self.each("no verdict without a server", lambda it: undecided(it, secrets[it.name]))
            revoked.append(self._elsewhere(secrets))
            self.server.start(self.address)
            self.each("hears of it after a restart", lambda it: watchers[it.name].hears(revoked[1]))

            for watcher in watchers.values():
                watcher.close()
            revoked.append(self.operator.revoked("while no one listened"))
            for watcher in watchers.values():
                watcher.start()
            self.each("hears of it when started again", lambda it: watchers[it.name].hears(revoked[2]))

            revoked.append(self.operator.revoked("last"))
            for watcher in watchers.values():
                watcher.hears(revoked[3])
            self.each("missed and doubled nothing", lambda it: same(watchers[it.name].revoked(), revoked))

    def _elsewhere(self, secrets: dict[str, str]) -> str:
        """The server comes up where no watcher is, with TLS. Answers the id of a token that was revoked there."""
        address = free_address()
        self.server.start_with_tls(address)
        settings = {"TOKENKEEP_SERVER": f"https://{address}", "TOKENKEEP_SERVER_CA": str(self.server.ca_file)}
        self.each("a verdict over TLS", lambda it: decided(it, secrets[it.name], **settings))
        operator = Operator(address, self.credential, self.server.ca_file.read_bytes())
        id = operator.revoked("while the watchers were away")
        self.server.stop()
        return id


def undecided(example: Example, secret: str) -> None:
    told = example.run("introspect", given=secret)
    assert told.code == NO_ANSWER and not told.output, told
    assert re.search("^cannot decide: (UNAVAILABLE|DEADLINE_?EXCEEDED)", told.errors, re.M | re.I), told


def decided(example: Example, secret: str, **settings: str) -> None:
    told = example.run("introspect", given=secret, **settings)
    assert told.code == ALLOWED and told.output.startswith("active "), told


def same(found: list[str], wanted: list[str]) -> None:
    assert found == wanted, f"heard of {found}, not of {wanted}"


def set_up(address: str, data: Path) -> None:
    """Makes the workspace and the credential by the commands of the page on the examples."""
    page = (EXAMPLES / "README.md").read_text()
    commands = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[1]
    commands = commands.replace("/tmp/tokenkeep", str(data)).replace("127.0.0.1:50051", address)
    (EXAMPLES / "credential").unlink(missing_ok=True)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=EXAMPLES, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0 and (EXAMPLES / "credential").read_text().strip(), f"the set-up failed: {done.stderr}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--only", default="", choices=COMMANDS, help="one language")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tk-") as directory:
        scratch = Path(directory)
        scratch.chmod(0o711)  # Started by root, PostgreSQL runs as another user, who has to pass through.
        server = Server(arguments.binary, scratch)
        try:
            check = Check(server, scratch, arguments.only)
            check.beside_a_server_that_stays()
            check.without_a_database()
            check.through_restarts()
        finally:
            server.stop()
    print(f"{check.results['PASSED']} passed, {check.results['FAILED']} failed")
    return min(check.results["FAILED"], 1)


if __name__ == "__main__":
    sys.exit(main())
