"""What the document of Strapi says of the table of tokens: editing, deleting, regenerating, and changing the salt."""

from __future__ import annotations

import time

from moments import DAY, days_after, days_between, seconds
from processes import until
from products import STRAPI as PRODUCT
from promises import promise
from reflected import refusal
from stage import Stage

NAME = PRODUCT.name
READ_ONLY, FULL_ACCESS = "TOKEN_TYPE_READ_ONLY", "TOKEN_TYPE_FULL_ACCESS"


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


@promise(NAME, "T4", "a table of all of the created tokens")
def the_list_holds_every_token_page_by_page(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    created = [door.token().id for _ in range(3)]
    listed = stage.api.paged(door.workspace, page_size=2)
    assert len(listed) == len(set(listed)) and set(created) <= set(listed)
    assert [id for id in listed if id in created] == created[::-1], "the newest come first"


@promise(NAME, "T4", "a table of all of the created tokens")
def an_expired_token_stays_in_the_list(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.short_lived(1)
    until(
        lambda: stage.api.listed(door.workspace)[issued.id]["state"] == "TOKEN_STATE_EXPIRED", "the expiry", within=10
    )


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


@promise(NAME, "T5", "edit a token's type")
def an_edit_to_custom_takes_the_permissions_that_were_ticked(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token()
    edited = stage.api.update(issued, type="TOKEN_TYPE_CUSTOM", scopes=["find:article"])
    assert (edited["type"], edited["scopes"]) == ("TOKEN_TYPE_CUSTOM", ["find:article"])
    door.assert_lets_in(issued.secret)
    door.ask(issued.secret, "POST").assert_is(PRODUCT.forbidden)


@promise(NAME, "T5", "edit a token's duration")
def the_duration_can_be_edited_to_another_of_the_list(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token(lifetime=f"{7 * DAY}s", never_expires=None)
    for days in (30, 90):
        edited = stage.api.update(issued, expire_time=days_after(issued.token["create_time"], days))
        assert days_between(edited["create_time"], edited["expire_time"]) == days
    response = stage.api.tokens.call("UpdateToken", token={"id": issued.id}, update_mask="expireTime")
    assert "expire_time" not in response["token"]
    door.assert_lets_in(issued.secret)


@promise(NAME, "T5", "edit a token's duration")
def the_duration_cannot_be_edited_to_one_that_is_not_in_the_list(stage: Stage) -> None:
    issued = stage.door(PRODUCT).token()
    refused = refusal(lambda: stage.api.update(issued, expire_time=days_after(issued.token["create_time"], 8)))
    assert refused.reason == "PROFILE_FORBIDS"


@promise(NAME, "T5", "delete a token")
def a_deleted_token_is_refused_and_leaves_the_table(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token()
    stage.api.revoke(issued)
    door.ask(issued.secret).assert_is(PRODUCT.invalid)
    states = ["TOKEN_STATE_ACTIVE", "TOKEN_STATE_EXPIRED", "TOKEN_STATE_INVALIDATED"]
    assert issued.id not in stage.api.listed(door.workspace, states=states)


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
    dry = stage.api.invalidate(door.workspace, dry_run=True)
    assert int(dry["token_count"]) >= 3
    for issued in doomed:
        door.assert_lets_in(issued.secret)
    done = stage.api.invalidate(door.workspace)
    assert done["fleet_confirmed"] and done["token_count"] == dry["token_count"]
    for issued in doomed:
        door.ask(issued.secret).assert_is(PRODUCT.invalid)
        assert stage.api.get(issued)["state"] == "TOKEN_STATE_INVALIDATED"
    other.assert_lets_in(spared.secret)


@promise(NAME, "T8", "new tokens are generated under the new salt")
def after_an_invalidation_new_and_regenerated_tokens_work(stage: Stage) -> None:
    door = stage.other_door(PRODUCT)
    before = door.token()
    stage.api.invalidate(door.workspace)
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
