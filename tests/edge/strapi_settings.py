"""What the document of Strapi says of creating and managing tokens."""

from __future__ import annotations

import time

from google.protobuf.timestamp_pb2 import Timestamp

from processes import until
from products import DAY
from products import STRAPI as PRODUCT
from promises import promise
from reflected import refusal
from stage import Stage

NAME = PRODUCT.name
READ_ONLY, FULL_ACCESS, CUSTOM = "TOKEN_TYPE_READ_ONLY", "TOKEN_TYPE_FULL_ACCESS", "TOKEN_TYPE_CUSTOM"
DURATIONS = {"7 days": 7, "30 days": 30, "90 days": 90}


def seconds(text: str) -> int:
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp.seconds


def after(token: dict, days: int) -> str:
    """The moment so many days after the token was created."""
    return Timestamp(seconds=seconds(token["create_time"]) + days * DAY).ToJsonString()


@promise(NAME, "T1", "Name: write the name of the token")
def a_token_without_a_name_is_refused(stage: Stage) -> None:
    refused = refusal(lambda: stage.door(PRODUCT).token(name=None))
    assert refused.code == "INVALID_ARGUMENT" and refused.fields == ["name"], refused


@promise(NAME, "T1", "Description: optional")
def a_token_may_be_described_or_not(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    assert door.token(description="for the blog").token["description"] == "for the blog"
    assert "description" not in door.token().token


@promise(NAME, "T2", "Duration: 7 days, 30 days, 90 days or Unlimited")
def a_token_lasts_as_long_as_was_chosen(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    for days in DURATIONS.values():
        token = door.token(lifetime=f"{days * DAY}s", never_expires=None).token
        assert seconds(token["expire_time"]) - seconds(token["create_time"]) == days * DAY
    assert "expire_time" not in door.token(never_expires=True).token


@promise(NAME, "T2", "Duration: 7 days, 30 days, 90 days or Unlimited")
def another_duration_is_refused(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    for lifetime in ("1s", f"{8 * DAY}s", f"{365 * DAY}s"):
        refused = refusal(lambda lifetime=lifetime: door.token(lifetime=lifetime, never_expires=None))
        assert (refused.reason, refused.fields) == ("PROFILE_FORBIDS", ["lifetime"])


@promise(NAME, "T2", "choose a duration")
def a_token_without_a_duration_is_refused(stage: Stage) -> None:
    assert refusal(lambda: stage.door(PRODUCT).token(never_expires=None)).reason == "PROFILE_FORBIDS"


@promise(NAME, "T2", "the durations to choose from")
def the_durations_can_be_rendered(stage: Stage) -> None:
    choices = stage.api.profile(stage.door(PRODUCT).workspace)["lifetimes"]
    told = {choice["label"]: choice.get("lifetime") for choice in choices}
    assert told == {**{label: f"{days * DAY}s" for label, days in DURATIONS.items()}, "Unlimited": None}


@promise(NAME, "T3", "Type: Read-only, Full access or Custom")
def the_types_can_be_rendered(stage: Stage) -> None:
    choices = stage.api.profile(stage.door(PRODUCT).workspace)["types"]
    told = {choice["label"]: choice["type"] for choice in choices}
    assert told == {"Read-only": READ_ONLY, "Full access": FULL_ACCESS, "Custom": CUSTOM}


@promise(NAME, "T3", "choose a type")
def a_token_without_a_type_is_refused(stage: Stage) -> None:
    assert refusal(lambda: stage.door(PRODUCT).token(type=None)).reason == "PROFILE_FORBIDS"


@promise(NAME, "T3", "Custom: permissions for each content type by checkboxes")
def a_custom_token_can_do_what_was_ticked_and_nothing_else(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token(type=CUSTOM, scopes=["find:article", "create:article"]).secret
    door.assert_lets_in(secret)
    door.assert_lets_in(secret, "POST")
    door.ask(secret, "GET", "/api/articles/1").assert_is(PRODUCT.forbidden)
    door.ask(secret, "DELETE").assert_is(PRODUCT.forbidden)
    door.ask(secret, "GET", "/api/restaurants").assert_is(PRODUCT.forbidden)


@promise(NAME, "T3", "Custom: permissions for each content type by checkboxes")
def a_permission_that_the_api_does_not_have_is_refused(stage: Stage) -> None:
    refused = refusal(lambda: stage.door(PRODUCT).token(type=CUSTOM, scopes=["fnid:article"]))
    assert (refused.reason, refused.fields) == ("PROFILE_FORBIDS", ["scopes"]), refused


@promise(NAME, "T3", "permissions are defined for the Custom type")
def permissions_beside_another_type_are_refused(stage: Stage) -> None:
    for kind in (READ_ONLY, FULL_ACCESS):
        refused = refusal(lambda kind=kind: stage.door(PRODUCT).token(type=kind, scopes=["find:article"]))
        assert refused.code == "INVALID_ARGUMENT", refused


@promise(NAME, "T3", "Full access")
def a_full_access_token_can_do_everything(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token().secret
    for method in ("GET", "POST", "PUT", "DELETE"):
        door.assert_lets_in(secret, method)
    door.assert_lets_in(secret, "GET", "/api/articles/1")
    door.assert_lets_in(secret, "GET", "/api/restaurants")


@promise(NAME, "T4", "a table of all tokens with name, description, creation and last use")
def the_list_has_the_columns_of_the_table(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token(name="listed", description="in the table")
    listed = stage.api.listed(door.workspace)[issued.id]
    assert (listed["name"], listed["description"]) == ("listed", "in the table")
    assert listed["create_time"] == issued.token["create_time"]
    assert "last_use_time" not in listed


@promise(NAME, "T4", "date of last use")
def using_a_token_sets_its_last_use(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token()
    before = int(time.time())
    door.assert_lets_in(issued.secret)
    until(lambda: "last_use_time" in stage.api.get(issued), "the last use", within=60)
    assert before <= seconds(stage.api.listed(door.workspace)[issued.id]["last_use_time"]) <= time.time() + 1


@promise(NAME, "T5", "edit a token's name and description")
def name_and_description_can_be_edited(stage: Stage) -> None:
    issued = stage.door(PRODUCT).token()
    stage.api.update(issued, name="edited", description="another")
    token = stage.api.get(issued)
    assert (token["name"], token["description"]) == ("edited", "another")


@promise(NAME, "T5", "edit a token's type")
def an_edited_type_counts_for_the_secret_that_is_out(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token()
    door.assert_lets_in(issued.secret, "POST")
    stage.api.update(issued, type=READ_ONLY)
    door.ask(issued.secret, "POST").assert_is(PRODUCT.forbidden)
    stage.api.update(issued, type=FULL_ACCESS)
    door.assert_lets_in(issued.secret, "POST")


@promise(NAME, "T5", "edit a token's duration")
def the_duration_can_be_edited_to_another_of_the_list(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token(lifetime=f"{7 * DAY}s", never_expires=None)
    for days in (30, 90):
        edited = stage.api.update(issued, expire_time=after(issued.token, days))
        assert seconds(edited["expire_time"]) - seconds(edited["create_time"]) == days * DAY
    response = stage.api.tokens.call("UpdateToken", token={"id": issued.id}, update_mask="expireTime")
    assert "expire_time" not in response["token"]
    door.assert_lets_in(issued.secret)


@promise(NAME, "T5", "edit a token's duration")
def the_duration_cannot_be_edited_to_one_that_is_not_in_the_list(stage: Stage) -> None:
    issued = stage.door(PRODUCT).token()
    refused = refusal(lambda: stage.api.update(issued, expire_time=after(issued.token, 8)))
    assert refused.reason == "PROFILE_FORBIDS"


@promise(NAME, "T5", "delete a token")
def a_deleted_token_is_refused_and_leaves_the_table(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token()
    stage.api.revoke(issued)
    door.ask(issued.secret).assert_is(PRODUCT.invalid)
    states = ["TOKEN_STATE_ACTIVE", "TOKEN_STATE_EXPIRED", "TOKEN_STATE_INVALIDATED"]
    assert issued.id not in stage.api.listed(door.workspace, states=states)


@promise(NAME, "T6", "the new token is displayed after saving")
def creating_answers_the_secret(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    door.assert_lets_in(door.token().secret)


@promise(NAME, "T7", "regenerate: the new token is displayed")
def regenerating_keeps_the_entry_and_answers_a_new_secret(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    before = door.token(lifetime=f"{30 * DAY}s", never_expires=None)
    after_it = stage.api.regenerate(before)
    for kept in ("id", "name", "type", "create_time", "expire_time", "scopes"):
        assert after_it.token[kept] == before.token[kept], kept
    assert after_it.secret != before.secret
    door.assert_lets_in(after_it.secret)


@promise(NAME, "T7", "regenerate takes the place of the token")
def regenerating_kills_the_secret_before(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    before = door.token()
    door.assert_lets_in(before.secret)
    stage.api.regenerate(before)
    door.ask(before.secret).assert_is(PRODUCT.invalid)


@promise(NAME, "T8", "changing the salt invalidates all existing tokens")
def invalidating_a_project_kills_all_of_its_tokens_and_no_others(stage: Stage) -> None:
    door, other = stage.other_door(PRODUCT), stage.door(PRODUCT)
    doomed = [door.token() for _ in range(3)]
    spared = other.token()
    for issued in doomed:
        door.assert_lets_in(issued.secret)
    dry = stage.api.workspaces.call("InvalidateWorkspaceTokens", id=door.workspace, dry_run=True)
    assert int(dry["token_count"]) >= 3
    door.assert_lets_in(doomed[0].secret)
    done = stage.api.workspaces.call(
        "InvalidateWorkspaceTokens", id=door.workspace, reason="a new salt", wait="REVOCATION_WAIT_FLEET"
    )
    assert done["fleet_confirmed"] and done["token_count"] == dry["token_count"]
    for issued in doomed:
        door.ask(issued.secret).assert_is(PRODUCT.invalid)
        assert stage.api.get(issued)["state"] == "TOKEN_STATE_INVALIDATED"
    other.assert_lets_in(spared.secret)


@promise(NAME, "T8", "new tokens are generated under the new salt")
def after_an_invalidation_new_and_regenerated_tokens_work(stage: Stage) -> None:
    door = stage.other_door(PRODUCT)
    before = door.token()
    stage.api.workspaces.call(
        "InvalidateWorkspaceTokens", id=door.workspace, reason="a new salt", wait="REVOCATION_WAIT_FLEET"
    )
    door.ask(before.secret).assert_is(PRODUCT.invalid)
    door.assert_lets_in(stage.api.regenerate(before).secret)
    door.assert_lets_in(door.token().secret)


@promise(NAME, "T13", "managing needs the permission for the settings page of tokens")
def managing_tokens_needs_a_permission(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    stranger, _, _ = stage.api.services_for(door.token().secret)
    for method, request in (
        ("ListTokens", {"workspace": door.workspace}),
        ("CreateToken", {"workspace": door.workspace, **PRODUCT.asks}),
    ):
        refused = refusal(lambda method=method, request=request: stranger.call(method, **request))
        assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "SCOPE_REQUIRED")
    scopes = ["tokenkeep:tokens:create", "tokenkeep:tokens:read"]
    administrator = stage.api.create(workspace="tokenkeep", name="settings", scopes=scopes)
    managing, _, _ = stage.api.services_for(administrator.secret)
    assert managing.call("ListTokens", workspace=door.workspace)["tokens"]
