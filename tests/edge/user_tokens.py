"""The example service `POST /user-tokens`, running, and a client of it."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import Process
from stage import WAIT, Answer, Stage

EXAMPLE = Path(__file__).parents[2] / "examples" / "qualytics-api"
GRANTED = ["tokenkeep:tokens:create", "tokenkeep:principals:read", "tokenkeep:introspect"]


class UserTokens:
    """A client of the service."""

    def __init__(self, port: int, issued: list[str]) -> None:
        self._port = port
        self._issued = issued

    def post(self, headers: dict[str, str], body: Any) -> Answer:
        """Posts the body as JSON, or as it is if it is a text."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT)
        try:
            text = body if isinstance(body, str) else json.dumps(body)
            connection.request("POST", "/user-tokens", text.encode(), headers)
            return Answer.of(connection.getresponse())
        finally:
            connection.close()

    def created(self, secret: str, **body: Any) -> Any:
        """What the service answers to an administrator."""
        answer = self.post({"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}, body)
        assert answer.status == 201, (answer.status, answer.body)
        told = json.loads(answer.body)
        self._issued.append(told["bearer_token"])
        return told


@contextmanager
def user_tokens(stage: Stage, workspace: str) -> Iterator[UserTokens]:
    """The service over that workspace, for as long as the block lasts."""
    credential = stage.place.scratch / "user-tokens-credential"
    credential.touch(0o600)
    granted = stage.api.create(workspace="tokenkeep", name="qualytics-api", scopes=GRANTED)
    credential.write_text(granted.secret)
    command = [str(EXAMPLE / ".venv/bin/python"), str(EXAMPLE / "qualytics_api.py"), "--listen", "127.0.0.1:0"]
    process = Process(
        f"user-tokens-{stage.way}",
        command,
        stage.place.scratch,
        TOKENKEEP_ADDRESS=stage.place.address,
        TOKENKEEP_TOKEN_FILE=str(credential),
        TOKENKEEP_WORKSPACE=workspace,
    )
    stage.place.logs.append(process.log)
    try:
        process.wait_until(lambda: "listening on" in process.log.read_text())
        found = re.search(r"listening on http://127.0.0.1:(\d+)", process.log.read_text())
        assert found
        yield UserTokens(int(found.group(1)), stage.api.issued)
    finally:
        process.stop()
