"""What the document of undb says of its tokens."""

from __future__ import annotations

from examples import header
from products import UNDB as PRODUCT
from promises import promise
from reflected import refusal
from stage import Stage

NAME = PRODUCT.name


@promise(NAME, "U1", "a token authenticates requests through the OpenAPI")
def a_request_with_a_token_of_the_space_comes_through(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    told = door.assert_lets_in(door.token().secret)
    assert told["x-tokenkeep-workspace"] == door.workspace


@promise(NAME, "U1", "tokens are space-specific")
def a_token_of_one_space_is_not_valid_in_another(stage: Stage) -> None:
    secret = stage.door(PRODUCT).token().secret
    stage.other_door(PRODUCT).ask(secret).assert_is(PRODUCT.invalid)


@promise(NAME, "U1", "access is compartmentalized: what a token does in one space touches no other")
def revoking_in_one_space_leaves_the_other_alone(stage: Stage) -> None:
    door, other = stage.door(PRODUCT), stage.other_door(PRODUCT)
    gone, stays = door.token(), other.token()
    stage.api.revoke(gone)
    other.assert_lets_in(stays.secret)


@promise(NAME, "U2", "tokens are generated and managed in the settings of their space")
def a_space_lists_its_own_tokens_alone(stage: Stage) -> None:
    here, there = stage.door(PRODUCT).token(), stage.other_door(PRODUCT).token()
    assert here.id in stage.api.listed(stage.door(PRODUCT).workspace)
    assert there.id not in stage.api.listed(stage.door(PRODUCT).workspace)


@promise(NAME, "U2", "tokens are managed for that specific space")
def who_manages_one_space_cannot_touch_the_tokens_of_another(stage: Stage) -> None:
    door, other = stage.door(PRODUCT), stage.other_door(PRODUCT)
    scopes = [f"tokenkeep:tokens:{right}" for right in ("create", "read", "update", "regenerate", "revoke")]
    # The settings page of one space, with a credential of that space alone.
    stage.api.set_profile(door.workspace, "")
    manager = stage.api.create(workspace=door.workspace, name="settings", scopes=scopes)
    stage.api.set_profile(door.workspace, NAME)
    managing, _, _ = stage.api.services_for(manager.secret)
    foreign = other.token()
    assert managing.call("ListTokens", workspace=door.workspace)["tokens"]
    for method, request in (
        ("CreateToken", {"workspace": other.workspace, **PRODUCT.asks}),
        ("ListTokens", {"workspace": other.workspace}),
        ("GetToken", {"id": foreign.id}),
        ("UpdateToken", {"token": {"id": foreign.id, "name": "mine"}}),
        ("RegenerateToken", {"id": foreign.id, "etag": "*"}),
        ("RevokeToken", {"id": foreign.id}),
    ):
        refused = refusal(lambda method=method, request=request: managing.call(method, **request))
        assert refused.code in ("NOT_FOUND", "PERMISSION_DENIED"), (method, refused)
    other.assert_lets_in(foreign.secret)


@promise(NAME, "U2", "creating generates a unique token")
def no_two_tokens_are_the_same(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    assert len({door.token(name="the same").secret for _ in range(20)}) == 20


@promise(NAME, "U4", "the header is `x-undb-api-token: YOUR_API_TOKEN`")
def the_header_holds_the_token_and_nothing_else(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    assert door.send(header(NAME, "YOUR_API_TOKEN", door.token().secret)).status == 200


@promise(NAME, "U4", "the header is `x-undb-api-token: YOUR_API_TOKEN`")
def a_scheme_before_the_token_makes_it_invalid(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    door.send({"x-undb-api-token": f"Bearer {door.token().secret}"}).assert_is(PRODUCT.invalid)


@promise(NAME, "U4", "the header is `x-undb-api-token: YOUR_API_TOKEN`")
def the_authorization_header_does_not_count(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    door.send({"Authorization": f"Bearer {door.token().secret}"}).assert_is(PRODUCT.missing)


@promise(NAME, "U5", "whoever works with several spaces uses a token for each")
def each_space_takes_its_own_token_and_no_other(stage: Stage) -> None:
    doors = [stage.door(PRODUCT), stage.other_door(PRODUCT)]
    secrets = [door.token().secret for door in doors]
    for door, own in zip(doors, secrets, strict=True):
        for secret in secrets:
            assert door.ask(secret).status == (200 if secret == own else 401)


@promise(NAME, "U1", "only authorized requests are processed")
def a_refused_request_does_not_reach_the_product(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    before = len(stage.upstream.reached)
    door.send({})
    door.ask("not a token")
    assert len(stage.upstream.reached) == before
