"""Runs the commands of docs/fleet.md as they stand there, in one shell, over the PostgreSQL of a live `dev`."""

import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

HERE = pathlib.Path(__file__).parent
PAGE = (HERE / "../../docs/fleet.md").read_text()
SECTION = PAGE.split("## Three servers and two sidecars from a shell")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)


def database_url(data: pathlib.Path) -> str:
    (pid_file,) = glob.glob(str(data / "**/postmaster.pid"), recursive=True)
    socket = pathlib.Path(pid_file).read_text().splitlines()[4].split(",")[0].strip()
    return f"postgresql://tokenkeep@{urllib.parse.quote(socket, safe='')}:5432/tokenkeep"


def logs(directory: str) -> str:
    return "".join(pathlib.Path(log).read_text()[-2000:] for log in glob.glob(f"{directory}/*.log"))


def walk(binary: pathlib.Path, data: pathlib.Path) -> str:
    """What a person's shell prints who pastes block after block."""
    with tempfile.TemporaryDirectory(prefix="tk-fleet-") as directory:
        shutil.copytree(data / "keyring", pathlib.Path(directory) / "keyring")
        shutil.copy(data / "operator-token", directory)
        (pathlib.Path(directory) / "tokenkeep").symlink_to(binary)
        environment = {
            "PATH": f"{directory}:{os.environ['PATH']}",
            "HOME": directory,
            "TOKENKEEP_DATABASE_URL": database_url(data),
        }
        script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(BLOCKS)
        try:
            done = subprocess.run(
                ["bash", "-c", script], cwd=directory, env=environment, capture_output=True, text=True, timeout=90
            )
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"no end after {late.timeout} s\n{late.stdout}{late.stderr}{logs(directory)}") from late
        if done.returncode:
            raise AssertionError(f"exit {done.returncode}\n{done.stdout}{done.stderr}{logs(directory)}")
        return done.stdout


def main() -> int:
    try:
        told = walk(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]))
        alive, after = told.split('"fleetConfirmed": true')
        assert alive.count('"active": true') == 2, told
        assert '"active": true' not in after and after.count("INACTIVE_REASON_REVOKED") == 3, told
        print("PASSED fleet: the commands of the page on fleets do what it says")
        return 0
    except Exception as error:
        print(f"FAILED fleet: the commands of the page on fleets do what it says: {error}")
        return 1


sys.exit(main())
