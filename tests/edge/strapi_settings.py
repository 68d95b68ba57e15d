"""What the document of Strapi says of creating tokens."""

from __future__ import annotations

from moments import DAY, days_between
from products import STRAPI as PRODUCT
from promises import promise
from reflected import refusal
from stage import Stage

NAME = PRODUCT.name
READ_ONLY, FULL_ACCESS, CUSTOM = "TOKEN_TYPE_READ_ONLY", "TOKEN_TYPE_FULL_ACCESS", "TOKEN_TYPE_CUSTOM"
DURATIONS = {"7 days": 7, "30 days": 30, "90 days": 90}


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
        assert days_between(token["create_time"], token["expire_time"]) == days
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


@promise(NAME, "T3", "Custom: checkboxes to enable or disable permissions")
def a_box_that_is_ticked_or_cleared_counts_for_the_secret_that_is_out(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token(type=CUSTOM, scopes=["find:article"])
    door.ask(issued.secret, "POST").assert_is(PRODUCT.forbidden)
    stage.api.update(issued, scopes=["find:article", "create:article"])
    door.assert_lets_in(issued.secret, "POST")
    stage.api.update(issued, scopes=["create:article"])
    door.ask(issued.secret).assert_is(PRODUCT.forbidden)


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


@promise(NAME, "T6", "the new token is displayed after saving")
def creating_answers_the_secret(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    door.assert_lets_in(door.token().secret)
