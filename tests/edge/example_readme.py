"""The steps of the README of examples/qualytics-api, as they stand there but for addresses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from examples import block
from other_proxies import put
from processes import free_port

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "examples" / "qualytics-api"
TOOLS = [os.environ.get("PATH", ""), str(PROJECT / "tests" / "clients" / ".tools")]
WITHIN = 60.0  # Seconds.


def grpcurl() -> str | None:
    """Where it is, if it is anywhere."""
    return shutil.which("grpcurl", path=os.pathsep.join(TOOLS))


def walk(scratch: Path, address: str, operator_token: Path) -> str:
    """Takes the steps; answers the secret that the last one gets."""
    _, prepare, ask = re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    place = f"127.0.0.1:{free_port()}"
    prepare = put(put(prepare, "/tmp/tokenkeep/operator-token", str(operator_token)), "127.0.0.1:50051", address)
    # Its setup was done before everything else.
    prepare = put(put(prepare, "./setup\n", ""), "qualytics_api.py &", f"qualytics_api.py --listen {place} &")
    ask = put(ask, "127.0.0.1:8090", place).replace(
        "curl ", "curl --silent --retry 20 --retry-connrefused --retry-delay 1 "
    )
    directory = scratch / "example"
    directory.mkdir()
    for entry in EXAMPLE.iterdir():
        (directory / entry.name).symlink_to(entry)
    told = printed(f"set -euo pipefail\n{prepare}\n{ask}", directory, address)
    answer = json.loads(told.strip().splitlines()[-1])
    assert list(answer) == list(json.loads(block("qualytics", "response"))), list(answer)
    return answer["bearer_token"]


def printed(script: str, directory: Path, address: str) -> str:
    """What a person's shell prints; what it leaves running is ended."""
    environment = {**os.environ, "PATH": os.pathsep.join(TOOLS), "TOKENKEEP_ADDRESS": address}
    output = directory / "output"
    with output.open("wb") as file:
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=directory, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        assert shell.wait(WITHIN) == 0, f"the steps do not work; see {output}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)
    return output.read_text()
