"""What the follower promises, tried on a live tokenkeep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import follow_revocations
from connection import Settings
from errors import CursorLost
from live import Cable, Process, Service, running, until


def follower(settings: Settings, cursor: Path, address: str = "") -> Any:
    environment = {"TOKENKEEP_WORKSPACE": settings.workspace, "TOKENKEEP_ADDRESS": address or settings.address}
    return running("follow_revocations.py", "--cursor-file", str(cursor), environment=environment)


def started(cursor: Path) -> None:
    until(cursor.exists, "the follower's first cursor")


def test_the_follower_prints_each_change(service: Service, settings: Settings, tmp_path: Path) -> None:
    with follower(settings, tmp_path / "cursor") as process:
        started(tmp_path / "cursor")
        id = service.created()["id"]
        service.admin("PATCH", f"/{id}", name="another")
        service.admin("POST", f"/{id}/regenerate")
        service.admin("DELETE", f"/{id}")
        process.line_with(f"revoked {id} generation 2 by administrator: deleted by an administrator")
    assert words(process, id) == ["edited", "regenerated", "revoked"]


def test_a_follower_that_was_away_misses_nothing(service: Service, settings: Settings, tmp_path: Path) -> None:
    cursor = tmp_path / "cursor"
    first, second, third = (service.created()["id"] for _ in range(3))
    with follower(settings, cursor) as before:
        started(cursor)
        service.admin("DELETE", f"/{first}")
        before.line_with(first)
    service.admin("DELETE", f"/{second}")
    with follower(settings, cursor) as after:
        after.line_with(second)
        service.admin("DELETE", f"/{third}")
        after.line_with(third)
    assert [len(words(after, id)) for id in (second, third)] == [1, 1]


def test_a_follower_survives_an_outage(service: Service, settings: Settings, tmp_path: Path) -> None:
    own_cable, cursor = Cable(settings.address), tmp_path / "cursor"
    id = service.created()["id"]
    with follower(settings, cursor, own_cable.address) as process:
        started(cursor)
        own_cable.cut()
        process.line_with("the stream broke off")
        service.admin("DELETE", f"/{id}")
        own_cable.mend()
        process.line_with(f"revoked {id}")


def test_a_follower_takes_silence_for_an_outage(settings: Settings, tmp_path: Path) -> None:
    own_cable, cursor = Cable(settings.address), tmp_path / "cursor"
    with follower(settings, cursor, own_cable.address) as process:
        started(cursor)
        own_cable.mute()
        process.line_with("the stream broke off")


def test_an_altered_cursor_stops_the_follower(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text("nonsense")
    with follower(settings, tmp_path / "cursor") as process:
        assert process.exit_code() == 1
        process.line_with("holds no cursor")


def test_a_lost_history_is_said_and_begun_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cursor = follow_revocations.CursorFile(tmp_path / "cursor")
    cursor.write("from before a restore")
    connection = RestoredConnection()
    with pytest.raises(KeyboardInterrupt):
        follow_revocations.follow(connection, cursor)  # type: ignore[arg-type]
    assert connection.cursors == ["from before a restore", ""]
    assert "starting anew (CURSOR_FOREIGN)" in capsys.readouterr().err


def test_pauses_grow_to_a_bound_however_long_the_outage() -> None:
    pauses = [follow_revocations.longest_pause(failures) for failures in (1, 2, 3, 100, 100_000)]
    assert pauses == [0.4, 0.8, 1.6, 5.0, 5.0]


class RestoredConnection:
    """A tokenkeep whose database was restored: it knows no cursor. Its follower is interrupted at the second try."""

    def __init__(self) -> None:
        self.cursors: list[str] = []

    def watch(self, cursor: str) -> Iterator[Any]:
        self.cursors.append(cursor)
        if len(self.cursors) == 2:
            raise KeyboardInterrupt
        raise CursorLost("another history", "CURSOR_FOREIGN")


def words(process: Process, id: str) -> list[str]:
    """What was printed of one token, a word for each line."""
    return [line.split()[1] for line in process.lines if id in line]
