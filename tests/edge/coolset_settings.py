"""What the document of Coolset says of managing its tokens."""

from __future__ import annotations

from moments import DAY, days_between
from processes import until
from products import COOLSET as PRODUCT
from promises import promise
from reflected import refusal
from stage import Stage

NAME = PRODUCT.name


@promise(NAME, "C5", "tokens do not expire by themselves")
def a_token_has_no_expiration(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token()
    assert "expire_time" not in issued.token
    assert refusal(lambda: door.token(lifetime="86400s")).reason == "PROFILE_FORBIDS"
    refused = refusal(lambda: stage.api.update(issued, expire_time="2099-01-01T00:00:00Z"))
    assert refused.reason == "PROFILE_FORBIDS"
    assert refusal(lambda: stage.api.regenerate(issued, lifetime="86400s")).reason == "PROFILE_FORBIDS"


@promise(NAME, "C5", "rotating every 90 days is recommended")
def a_token_says_that_its_rotation_is_due_after_90_days(stage: Stage) -> None:
    token = stage.door(PRODUCT).token().token
    assert days_between(token["create_time"], token["rotation_due_time"]) == 90
    assert stage.api.profile(stage.door(PRODUCT).workspace)["rotation_due_after"] == f"{90 * DAY}s"


@promise(NAME, "C5", "rotate tokens regularly")
def rotating_replaces_the_secret_and_moves_the_due_date(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    before = door.token()
    after = stage.api.regenerate(before)
    assert days_between(before.token["rotation_due_time"], after.token["rotation_due_time"]) > 0
    assert days_between(after.token["update_time"], after.token["rotation_due_time"]) == 90
    door.ask(before.secret).assert_is(PRODUCT.invalid)
    door.assert_lets_in(after.secret)


@promise(NAME, "C6", "a revoked token is immediately invalid")
def a_token_is_invalid_as_soon_as_revoking_returns(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    for _ in range(10):
        issued = door.token()
        door.assert_lets_in(issued.secret)
        stage.api.revoke(issued)
        door.ask(issued.secret).assert_is(PRODUCT.invalid)


@promise(NAME, "C6", "revoke compromised tokens immediately")
def a_compromised_token_is_revoked_with_its_reason(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token()
    told = stage.api.revoke(issued, reason="found in a repository")
    assert (told["state"], told["revoke_reason"]) == ("TOKEN_STATE_REVOKED", "found in a repository")
    door.ask(issued.secret).assert_is(PRODUCT.invalid)
    assert refusal(lambda: stage.api.regenerate(issued)).code == "FAILED_PRECONDITION"


@promise(NAME, "C6", "revoke unused tokens")
def unused_tokens_can_be_found(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    used, unused = door.token(), door.token()
    door.assert_lets_in(used.secret)
    until(lambda: "last_use_time" in stage.api.get(used), "the last use")
    told = stage.api.listed(door.workspace, never_used=True)
    assert unused.id in told and used.id not in told


@promise(NAME, "C9", "a separate token for each integration, so that one can be revoked alone")
def revoking_one_integration_leaves_the_others_alone(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    first, second = door.token(name="billing"), door.token(name="reports")
    stage.api.revoke(first)
    door.ask(first.secret).assert_is(PRODUCT.invalid)
    door.assert_lets_in(second.secret)
