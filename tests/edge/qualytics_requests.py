"""What the document of Qualytics says of creating a token through its API; the example service is the one asked."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from api import proper
from examples import block
from moments import days_between
from products import QUALYTICS as PRODUCT
from products import Json
from promises import promise
from stage import Answer, Door, Stage
from user_tokens import UserTokens, user_tokens

NAME = PRODUCT.name
SERVICE = "PRINCIPAL_KIND_SERVICE_ACCOUNT"
NUMBERS = itertools.count(1000)


@dataclass(frozen=True)
class Scene:
    """The service, an administrator's token, and a service user with a number and a handle."""

    door: Door
    service: UserTokens
    administrator: str
    user: int
    handle: str

    def refused(self, **body: object) -> Answer:
        headers = {"Authorization": f"Bearer {self.administrator}"}
        return self.service.post(headers, {"name": "a", "user_id": self.user, **body})


@contextmanager
def scene(stage: Stage) -> Iterator[Scene]:
    door, number = stage.door(PRODUCT), next(NUMBERS)
    handle = f"api_access_{number}@service"
    stage.api.principal(door.workspace, SERVICE, name="API Access", handle=handle, external_id=number)
    with user_tokens(stage, door.workspace) as service:
        yield Scene(door, service, door.token().secret, number, handle)


@promise(NAME, "Q6", "POST /user-tokens with `name`, `user_id` and `expires_in_days`")
def the_documents_own_request_creates_a_token_that_works(stage: Stage) -> None:
    with scene(stage) as set_up:
        request = block(NAME, "http").strip().splitlines()
        assert request[0] == "POST /user-tokens"
        written = (line.replace("{admin_token}", set_up.administrator).split(": ", 1) for line in request[1:])
        body = {**json.loads(block(NAME, "request")), "user_id": set_up.user}
        answer = set_up.service.post(dict(written), body)
        assert answer.status == 201
        secret = json.loads(answer.body)["bearer_token"]
        stage.api.issued.append(secret)
        assert set_up.door.assert_lets_in(secret)["x-tokenkeep-username"] == set_up.handle


@promise(NAME, "Q7", "the response, with exactly its keys")
def the_response_has_the_documents_keys_in_their_order(stage: Stage) -> None:
    with scene(stage) as set_up:
        told = set_up.service.created(
            set_up.administrator, name="api-production", user_id=set_up.user, expires_in_days=365
        )
        written = json.loads(block(NAME, "response"))
        assert list(told) == list(written) and list(told["user"]) == list(written["user"])
        assert all(type(told[key]) is type(written[key]) for key in written)
        assert (told["name"], told["active"]) == ("api-production", True)
        expected = {"id": set_up.user, "user_id": set_up.handle, "name": "API Access", "user_type": "Service"}
        assert told["user"] == expected
        expiration = datetime.strptime(told["expiration"], "%Y-%m-%dT%H:%M:%S%z")
        assert told["expiration"].endswith("Z")
        assert abs(expiration - datetime.now(timezone.utc) - timedelta(days=365)) < timedelta(seconds=30)


@promise(NAME, "Q7", "the response is JSON, and holds a secret")
def the_response_is_json_that_nobody_stores(stage: Stage) -> None:
    with scene(stage) as set_up:
        headers = {"Authorization": f"Bearer {set_up.administrator}", "Content-Type": "application/json"}
        answer = set_up.service.post(headers, {"name": "a", "user_id": set_up.user})
        stage.api.issued.append(json.loads(answer.body)["bearer_token"])
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"


@promise(NAME, "Q7", "the response, and the token it tells of")
def what_the_response_says_is_what_is_on_record(stage: Stage) -> None:
    with scene(stage) as set_up:
        told = set_up.service.created(set_up.administrator, name="a", user_id=set_up.user, expires_in_days=30)
        (token,) = (found for found in stage.api.listed(set_up.door.workspace).values() if is_number(found, told["id"]))
        assert days_between(token["create_time"], token["expire_time"]) == 30
        assert told["expiration"] == f"{token['expire_time'][:19]}Z"
        assert token["creator"] == set_up.door.owner


def is_number(token: Json, number: int) -> bool:
    return int(token.get("external_id", 0)) == number


@promise(NAME, "Q7", "tokens are named by a number")
def each_token_has_a_number_of_its_own(stage: Stage) -> None:
    with scene(stage) as set_up:
        wanted = {"name": "a", "user_id": set_up.user}
        first, second = (set_up.service.created(set_up.administrator, **wanted)["id"] for _ in range(2))
        assert second > first > 0


@promise(NAME, "Q8", "`bearer_token` cannot be retrieved later")
def the_bearer_token_cannot_be_retrieved_later(stage: Stage) -> None:
    with scene(stage) as set_up:
        told = set_up.service.created(set_up.administrator, name=f"n{uuid.uuid4()}", user_id=set_up.user)
        listed = [token for token in stage.api.listed(set_up.door.workspace).values() if token["name"] == told["name"]]
        assert len(listed) == 1 and int(listed[0]["external_id"]) == told["id"]
        assert proper(told["bearer_token"]) not in str(listed)


@promise(NAME, "Q6", "an administrator's token")
def without_an_administrators_token_nothing_is_created(stage: Stage) -> None:
    with scene(stage) as set_up:
        body = {"name": "a", "user_id": set_up.user}
        assert set_up.service.post({}, body).status == 401
        assert set_up.service.post({"Authorization": "Bearer nonsense"}, body).status == 401
        scim = set_up.door.token(audiences=["scim"]).secret
        assert set_up.service.post({"Authorization": f"Bearer {scim}"}, body).status == 401
        reader = stage.api.principal(set_up.door.workspace, SERVICE, ["datastores:read"])
        ordinary = set_up.door.token(principal=reader).secret
        assert set_up.service.post({"Authorization": f"Bearer {ordinary}"}, body).status == 403


@promise(NAME, "", "how to ask for a token that never expires is not said")
def null_or_no_days_make_a_token_that_never_expires(stage: Stage) -> None:
    with scene(stage) as set_up:
        wanted = {"name": "a", "user_id": set_up.user}
        assert set_up.service.created(set_up.administrator, **wanted)["expiration"] is None
        assert set_up.service.created(set_up.administrator, **wanted, expires_in_days=None)["expiration"] is None


@promise(NAME, "", "how to ask for a SCIM token is not said")
def a_further_field_makes_a_scim_token(stage: Stage) -> None:
    with scene(stage) as set_up:
        told = set_up.service.created(set_up.administrator, name="a", user_id=set_up.user, scim=True)
        set_up.door.assert_lets_in(told["bearer_token"], "GET", "/scim/v2/Users")
        set_up.door.ask(told["bearer_token"]).assert_is(PRODUCT.invalid)


@promise(NAME, "", "how a wrong request is answered is not said")
def a_wrong_request_is_refused_and_says_why(stage: Stage) -> None:
    with scene(stage) as set_up:
        assert set_up.refused(name="").status == 422
        assert set_up.refused(user_id="123").status == 422
        assert set_up.refused(user_id=True).status == 422
        assert set_up.refused(expires_in_days=0).status == 422
        assert set_up.refused(expires_in_days=8).status == 422
        assert set_up.refused(user_id=999_999_999).status == 404
        assert set_up.refused(expires_in_day=30).body == '{"detail": "expires_in_day: no such field"}'
