"""Runs the commands of the README's first section as they stand there, against a live server."""

import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
README = (HERE / "../../README.md").read_text()
SECTION = README.split("## Two minutes to a revoked token")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)


def shell(command: str) -> str:
    """What a person's shell prints, with the block that defines `call` read first."""
    setup = "\n".join(line for line in BLOCKS[1].splitlines() if line.startswith(("state=", "export", "call()")))
    script = f"set -euo pipefail\n{setup}\n{command}"
    script = script.replace("127.0.0.1:50051", os.environ["TOKENKEEP_ADDRESS"])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise AssertionError(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout


def lines(block: str) -> list[str]:
    return [line for line in block.splitlines() if line.startswith("call ")]


def walk() -> None:
    assert BLOCKS[0].strip() == "cargo run --release -- dev", "the first command has changed"
    create_workspace, create_token = lines(BLOCKS[1])
    assert json.loads(shell(create_workspace))["workspace"]["id"] == "acme"
    created = json.loads(shell(create_token))
    secret, token_id = created["secret"], created["token"]["id"]

    (watch,) = lines(BLOCKS[2])
    introspect, revoke, introspect_again = (
        line.replace("tk_…", secret).replace("0190…", token_id) for line in lines(BLOCKS[3])
    )
    # The watcher is up when its first frame, the progress at the head, has come.
    watcher = subprocess.Popen(
        ["bash", "-c", watch_script(watch)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert watcher.stdout is not None
        while '"progress"' not in (line := watcher.stdout.readline()):
            assert line, "the watcher ended"
        assert json.loads(shell(introspect))["active"] is True
        assert json.loads(shell(revoke))["token"]["revokeReason"] == "lost laptop"
        told = json.loads(shell(introspect_again))
        assert "active" not in told and told["inactiveReason"] == "INACTIVE_REASON_REVOKED", told
        while token_id not in (line := watcher.stdout.readline()):
            assert line, "the watcher ended"
    finally:
        os.killpg(watcher.pid, 15)
        watcher.wait(10)


def watch_script(watch: str) -> str:
    setup = "\n".join(line for line in BLOCKS[1].splitlines() if line.startswith(("state=", "export", "call()")))
    return f"{setup}\n{watch}".replace("127.0.0.1:50051", os.environ["TOKENKEEP_ADDRESS"])


def shape() -> None:
    """The published expression matches what is issued."""
    published = re.search(r"```text\n(.*)\n```", README).group(1)
    created = json.loads(shell(lines(BLOCKS[1])[1]))
    assert re.fullmatch(published.strip(), created["secret"])


def main() -> int:
    failed = 0
    promises = [("the first commands do what it says", walk), ("the published shape fits what is issued", shape)]
    for name, promise in promises:
        try:
            promise()
            print(f"PASSED readme: {name}")
        except Exception as error:
            print(f"FAILED readme: {name}: {error!r}")
            failed += 1
    return min(failed, 1)


sys.exit(main())
