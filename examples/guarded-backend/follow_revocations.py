"""Follows the stream of revocations and prints one line for each, through restarts of either side."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from pathlib import Path

from connection import Connection, Settings
from errors import CursorAltered, CursorLost, TokenkeepError
from tokenkeep.v1 import revocation_pb2 as revocation

WORDS = {
    revocation.REVOCATION_KIND_REVOKED: "revoked",
    revocation.REVOCATION_KIND_SECRET_REPLACED: "regenerated",
    revocation.REVOCATION_KIND_UPDATED: "edited",
}


class CursorFile:
    """Remembers, from one run to the next, how far the stream was read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str:
        return self._path.read_text() if self._path.exists() else ""

    def write(self, cursor: str) -> None:
        """Replaces the file in one step: a crash leaves the old cursor or the new one, never half of one."""
        beside = self._path.with_suffix(".new")
        beside.write_text(cursor)
        os.replace(beside, self._path)

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


def follow(connection: Connection, cursor_file: CursorFile) -> None:
    """Prints events until it is interrupted. One that was printed just before a crash may be printed again."""
    failures = 0
    while True:
        try:
            for frame in connection.watch(cursor_file.read()):
                failures = 0
                if frame.HasField("event"):
                    print(line(frame.event), flush=True)
                cursor_file.write(frame.cursor)
        except CursorLost as error:
            say(f"the history was replaced, so revokes may have been missed; starting anew ({error.reason})")
            cursor_file.forget()
        except CursorAltered:
            raise
        except TokenkeepError as error:
            failures += 1
            pause(error, failures)


def pause(error: TokenkeepError, failures: int) -> None:
    """Waits before the next try: a random time, lest all followers return at once."""
    seconds = random.uniform(0, longest_pause(failures))
    say(f"the stream broke off, {error}; resuming in {seconds:.1f} s")
    time.sleep(seconds)


def longest_pause(failures: int) -> float:
    """How many seconds to wait at most after so many failures in a row: from 0.4, doubled each time, up to 5."""
    return min(5.0, 0.2 * 2 ** min(failures, 10))


def line(event: revocation.RevocationEvent) -> str:
    """One event in one line; names and reasons carry no line breaks, tokenkeep sees to that."""
    word = WORDS.get(event.kind, "changed")
    moment = event.event_time.ToJsonString()
    return f"{moment} {word} {event.token_id} generation {event.generation} by {event.initiator}: {event.reason}"


def say(message: str) -> None:
    print(f"follow_revocations: {message}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    state = Path(__file__).parent / "state"
    parser.add_argument("--cursor-file", type=Path, default=state / "cursor", help="default: %(default)s")
    path: Path = parser.parse_args().cursor_file
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        follow(Connection(Settings.from_environment()), CursorFile(path))
    except CursorAltered:
        say(f"{path} holds no cursor; delete it to start at the present")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
