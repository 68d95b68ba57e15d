"""What the tests share: a workspace of this run's own on a live tokenkeep, and the service over it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from api_tokens import ApiTokens
from connection import Connection, Settings
from live import Browser, Cable, Service, running


@pytest.fixture(scope="session")
def settings() -> Settings:
    """A workspace of this run's own, so that runs over one tokenkeep do not meet."""
    return replace(Settings.from_environment(), workspace=f"guarded-{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def cable(settings: Settings) -> Cable:
    return Cable(settings.address)


@pytest.fixture(scope="session")
def service(settings: Settings, cable: Cable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    state = tmp_path_factory.mktemp("state")
    options = ["--listen", "127.0.0.1:0", "--state-dir", str(state)]
    environment = {"TOKENKEEP_ADDRESS": cable.address, "TOKENKEEP_WORKSPACE": settings.workspace}
    with running("guarded_backend.py", *options, environment=environment) as process:
        line = process.line_with("listening on ")
        key = process.line_with("key is in") and (state / "admin-key").read_text().strip()
        yield Service(line.split("/")[2], key)


@pytest.fixture
def browser(service: Service) -> Browser:
    """An administrator's browser, signed in."""
    browser = Browser(service)
    assert browser.send("/admin/sign-in", key=service.admin_key).status == 302
    return browser


@pytest.fixture(scope="session")
def others(settings: Settings) -> ApiTokens:
    """The tokens of another product on the same tokenkeep."""
    connection = Connection(replace(settings, workspace=f"{settings.workspace}-other"))
    connection.ensure_workspace()
    return ApiTokens(connection)
