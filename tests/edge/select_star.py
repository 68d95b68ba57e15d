"""What the document of Select Star says of its tokens."""

from __future__ import annotations

from examples import block, header, run_example
from products import SELECT_STAR as PRODUCT
from promises import promise
from reflected import refusal
from stage import Stage

NAME = PRODUCT.name


@promise(NAME, "S1", "a token is generated before the API can be accessed, by one button")
def creating_a_token_asks_for_nothing_that_the_document_does_not_name(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    profile = stage.api.profile(door.workspace)
    assert not {"required_fields", "scopes", "prefixes"} & set(profile), profile
    token = stage.api.create(workspace=door.workspace, name="API Token").token
    assert token["state"] == "TOKEN_STATE_ACTIVE" and "principal" not in token


@promise(NAME, "S1", "the text of the field is used as the token")
def the_secret_that_was_answered_is_the_token_as_it_is(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token()
    assert issued.secret == issued.secret.strip() and " " not in issued.secret
    door.assert_lets_in(issued.secret)


@promise(NAME, "S2", "tokens have no expiration")
def a_token_has_no_expiration(stage: Stage) -> None:
    assert "expire_time" not in stage.door(PRODUCT).token().token


@promise(NAME, "S2", "tokens have no expiration")
def a_token_that_would_expire_is_refused(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    assert refusal(lambda: door.token(lifetime="86400s")).reason == "PROFILE_FORBIDS"
    issued = door.token()
    refused = refusal(lambda: stage.api.update(issued, expire_time="2099-01-01T00:00:00Z"))
    assert refused.reason == "PROFILE_FORBIDS"
    refused = refusal(lambda: stage.api.regenerate(issued, lifetime="86400s"))
    assert refused.reason == "PROFILE_FORBIDS"


@promise(NAME, "S2", "a token can be deleted and then recreated by hand")
def a_deleted_token_is_dead_and_another_can_be_created(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    first = door.token()
    stage.api.revoke(first)
    second = door.token(name=first.token["name"])
    assert second.id != first.id
    door.ask(first.secret).assert_is(PRODUCT.invalid)
    door.assert_lets_in(second.secret)


@promise(NAME, "S3", "the header is `Authorization: Token <token>`")
def the_token_follows_the_word_token_in_the_authorization_header(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    assert door.send(header(NAME, "<token>", door.token().secret)).status == 200


@promise(NAME, "S3", "`Token` must be used, and not `Bearer`")
def a_token_after_bearer_counts_as_not_provided(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    answer = door.send({"Authorization": f"Bearer {door.token().secret}"})
    answer.assert_is(PRODUCT.missing)


@promise(NAME, "", "the case of `Token` is not spoken of")
def the_scheme_must_be_written_as_in_the_document(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    answer = door.send({"Authorization": f"token {door.token().secret}"})
    answer.assert_is(PRODUCT.missing)


@promise(NAME, "S3", "the example in curl")
def the_curl_example_succeeds(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    host = "https://api.production.selectstar.com"
    reached = run_example(stage, door, "curl", host, ("<your_token>", door.token().secret))
    assert (reached.method, reached.path) == ("GET", "/v1/tables/")


@promise(NAME, "S4", "`401: Unauthorized` with one of two messages in the body")
def the_answers_are_the_documents_to_the_byte(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    for answer, written in ((door.send({}), "missing"), (door.ask("nonsense"), "invalid")):
        assert (answer.status, answer.phrase) == (401, "Unauthorized")
        assert answer.body == block(NAME, written).rstrip("\n"), answer.body
