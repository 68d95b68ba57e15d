"""What the guarded backend promises, tried on a live tokenkeep (TOKENKEEP_ADDRESS, TOKENKEEP_TOKEN_FILE)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from api_tokens import ApiTokens
from connection import Connection, Settings
from live import Browser, Cable, Service, until
from tokenkeep.v1 import token_service_pb2 as rpc

# --- The guarded API -----------------------------------------------------------------------------------------------


def test_a_live_token_opens_the_api(service: Service) -> None:
    secret = service.created()["secret"]
    assert [article["id"] for article in service.articles(f"Bearer {secret}").data][:2] == [1, 2]
    assert service.articles(f"Bearer {secret}", path="/1").data["id"] == 1


@pytest.mark.parametrize("scheme", ["bearer", "Bearer", "BEARER"])
def test_the_case_of_the_scheme_does_not_matter(service: Service, scheme: str) -> None:
    assert service.articles(f"{scheme} {service.created()['secret']}").status == 200


@pytest.mark.parametrize(
    "authorization",
    [None, "", "bearer", "{}", "Token {}", "Basic {}", "bearer {} more", "bearer {}x", "bearer nonsense"],
)
def test_whoever_presents_no_live_token_gets_401(service: Service, authorization: str | None) -> None:
    secret = service.created()["secret"]
    answer = service.articles(authorization and authorization.format(secret))
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_read_only_token_only_finds(service: Service) -> None:
    secret = service.created(type="read-only")["secret"]
    assert service.articles(f"bearer {secret}").status == 200
    assert service.articles(f"bearer {secret}", path="/2").status == 200
    assert service.articles(f"bearer {secret}", "POST", given={"title": "No"}).status == 403


def test_a_full_access_token_also_creates(service: Service) -> None:
    secret = service.created(type="full-access")["secret"]
    created = service.articles(f"bearer {secret}", "POST", given={"title": "Yes"})
    assert created.status == 201
    assert service.articles(f"bearer {secret}", path=f"/{created.data['id']}").data["title"] == "Yes"


def test_a_token_of_another_workspace_is_none_here(service: Service, others: ApiTokens) -> None:
    secret = others.create("foreign", "", "full-access", "unlimited").secret
    assert service.articles(f"bearer {secret}").status == 401


def test_an_outage_is_503_and_no_verdict(service: Service, cable: Cable) -> None:
    live = f"bearer {service.created()['secret']}"
    cable.cut()
    try:
        answers = [service.articles(live), service.articles("bearer nonsense"), service.admin("GET")]
        assert [answer.status for answer in answers] == [503, 503, 503]
        assert int(answers[0].headers["Retry-After"]) >= 1
    finally:
        cable.mend()
    until(lambda: service.articles(live).status == 200, "the service to come back with tokenkeep")


def test_silence_is_503_and_no_verdict(service: Service, cable: Cable) -> None:
    live = f"bearer {service.created()['secret']}"
    cable.mute()
    try:
        assert service.articles(live).status == 503
    finally:
        cable.mend()
    until(lambda: service.articles(live).status == 200, "the service to come back with tokenkeep")


# --- Administration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duration, days", [("7 days", 7), ("30 days", 30), ("90 days", 90)])
def test_a_duration_is_counted_from_creation(service: Service, duration: str, days: int) -> None:
    token = service.created(duration=duration)
    lifetime = datetime.fromisoformat(token["expires_at"]) - datetime.fromisoformat(token["created_at"])
    assert abs(lifetime - timedelta(days=days)) < timedelta(seconds=5)


def test_an_unlimited_token_never_expires(service: Service) -> None:
    assert service.created(duration="unlimited")["expires_at"] is None


@pytest.mark.parametrize(
    "field, value",
    [
        ("name", ""),
        ("name", "x" * 129),
        ("name", 7),
        ("description", "x" * 1025),
        ("duration", "8 days"),
        ("duration", ""),
        ("duration", 7),
        ("type", "custom"),
        ("type", ""),
    ],
)
def test_a_wrong_field_is_refused_by_name(service: Service, field: str, value: Any) -> None:
    right = {"name": "a token", "description": "", "duration": "7 days", "type": "read-only"}
    answer = service.admin("POST", **{**right, field: value})
    assert answer.status == 400
    assert field in answer.text


def test_last_use_appears_in_the_list(service: Service) -> None:
    token = service.created()
    assert service.listed()[token["id"]]["last_used_at"] is None
    assert service.articles(f"bearer {token['secret']}").status == 200
    until(lambda: service.listed()[token["id"]]["last_used_at"], "the last use to be written")


def test_an_edit_changes_what_it_names_and_keeps_the_secret(service: Service) -> None:
    token = service.created(name="before", description="kept", duration="unlimited")
    edited = service.admin("PATCH", f"/{token['id']}", name="after", duration="7 days", etag=token["etag"]).data
    assert (edited["name"], edited["description"], edited["type"]) == ("after", "kept", "read-only")
    assert edited["expires_at"] is not None
    assert service.articles(f"bearer {token['secret']}").status == 200


def test_an_edited_type_counts_at_once(service: Service) -> None:
    token = service.created(type="full-access")
    assert service.admin("PATCH", f"/{token['id']}", type="read-only").status == 200
    assert service.articles(f"bearer {token['secret']}", "POST", given={"title": "No"}).status == 403


def test_regenerating_kills_the_old_secret_and_keeps_the_rest(service: Service) -> None:
    token = service.created(name="kept")
    fresh = service.admin("POST", f"/{token['id']}/regenerate", etag=token["etag"]).data
    assert (fresh["id"], fresh["name"]) == (token["id"], "kept")
    assert service.articles(f"bearer {token['secret']}").status == 401
    assert service.articles(f"bearer {fresh['secret']}").status == 200


def test_of_two_who_regenerate_the_second_is_told(service: Service) -> None:
    token = service.created()
    answers = [service.admin("POST", f"/{token['id']}/regenerate", etag=token["etag"]) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 409]
    assert service.articles(f"bearer {answers[0].data['secret']}").status == 200


def test_an_expired_token_lives_again_with_a_new_duration(service: Service, settings: Settings) -> None:
    connection = Connection(settings)
    request = rpc.CreateTokenRequest(workspace=settings.workspace, name="brief", scopes=["articles:find"])
    request.lifetime.FromSeconds(1)
    response = connection.call(connection.tokens.CreateToken, request)
    id, secret = response.token.id, response.secret
    until(lambda: service.listed()[id]["expired"], "the token to expire")
    assert service.articles(f"bearer {secret}").status == 401
    assert service.admin("POST", f"/{id}/regenerate").status == 409
    assert service.admin("PATCH", f"/{id}", duration="7 days").data["expired"] is False
    assert service.articles(f"bearer {secret}").status == 200


def test_a_deleted_token_is_dead_and_off_the_list(service: Service) -> None:
    token = service.created()
    assert service.admin("DELETE", f"/{token['id']}").status == 204
    assert service.articles(f"bearer {token['secret']}").status == 401
    assert token["id"] not in service.listed()
    assert service.admin("PATCH", f"/{token['id']}", name="again").status == 404


def test_administrators_do_not_reach_into_other_workspaces(service: Service, others: ApiTokens) -> None:
    issued = others.create("foreign", "", "read-only", "unlimited")
    path = f"/{issued.token.id}"
    answers = [
        service.admin("GET", path),
        service.admin("PATCH", path, name="ours"),
        service.admin("POST", f"{path}/regenerate"),
        service.admin("DELETE", path),
    ]
    assert [answer.status for answer in answers] == [404] * 4
    assert others.get(issued.token.id) == issued.token


def test_the_json_side_opens_to_the_key_alone(service: Service, browser: Browser) -> None:
    assert service.ask("GET", "/admin/api-tokens").status == 401
    assert service.ask("GET", "/admin/api-tokens", headers={"X-Admin-Key": "wrong"}).status == 401
    assert browser.get("/admin/api-tokens").status == 401


# --- The administrators' pages -------------------------------------------------------------------------------------


def test_the_page_lists_name_description_creation_and_last_use(service: Service, browser: Browser) -> None:
    service.created(name="<b>bold</b>", description="for the list")
    page = browser.get("/admin/tokens").text
    assert re.findall("<th>(.*?)</th>", page) == ["Name", "Description", "Created at", "Last used", ""]
    assert "&lt;b&gt;bold" in page
    assert "for the list" in page


def test_a_secret_is_shown_once(browser: Browser, service: Service) -> None:
    created = browser.send("/admin/tokens", name="shown", description="", duration="7 days", type="read-only")
    secret = secret_on(created.text)
    assert created.headers["Cache-Control"] == "no-store"
    assert service.articles(f"bearer {secret}").status == 200
    id = re.findall("/admin/tokens/([0-9a-f-]{36})", created.text)[0]
    assert secret not in browser.get("/admin/tokens").text
    assert secret not in browser.get(f"/admin/tokens/{id}").text
    assert secret not in service.admin("GET", f"/{id}").text


def test_the_pages_edit_regenerate_and_delete(browser: Browser, service: Service) -> None:
    token = service.created(name="old name", description="gone soon")
    page = f"/admin/tokens/{token['id']}"
    form = {"name": "new name", "description": "", "duration": "", "type": "full-access", "etag": token["etag"]}
    assert browser.send(page, **form).status == 302
    edited = service.listed()[token["id"]]
    assert (edited["name"], edited["description"], edited["type"]) == ("new name", "", "full-access")
    assert edited["expires_at"] is None
    assert browser.send(page, **form).status == 409
    secret = secret_on(browser.send(f"{page}/regenerate", etag=edited["etag"]).text)
    assert service.articles(f"bearer {secret}").status == 200
    assert browser.send(f"{page}/delete").status == 302
    assert browser.get(page).status == 404


def test_a_stranger_is_sent_to_sign_in(service: Service) -> None:
    stranger = Browser(service)
    assert stranger.get("/admin/tokens").headers["Location"] == "/admin/sign-in"
    assert stranger.send("/admin/sign-in", key="wrong").status == 403
    assert stranger.send("/admin/tokens", name="x", duration="7 days", type="read-only").status == 302
    assert stranger.get("/admin/tokens").status == 302


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null"])
def test_a_form_from_another_site_is_refused(browser: Browser, service: Service, origin: str) -> None:
    token = service.created()
    assert browser.send(f"/admin/tokens/{token['id']}/delete", origin=origin).status == 403
    assert token["id"] in service.listed()


def secret_on(page: str) -> str:
    found = re.search('<code id="secret">(.*?)</code>', page)
    assert found, page
    return found[1]
