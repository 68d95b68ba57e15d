"""What the document of Strapi says of using its tokens."""

from __future__ import annotations

from examples import header
from products import STRAPI as PRODUCT
from promises import promise
from stage import Stage

NAME = PRODUCT.name
READ_ONLY = "TOKEN_TYPE_READ_ONLY"


@promise(NAME, "T9", "the header is `Authorization: bearer your-api-token`")
def the_token_follows_the_word_bearer_in_the_authorization_header(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    assert door.send(header(NAME, "your-api-token", door.token().secret)).status == 200


@promise(NAME, "", "whether `Bearer` may be written otherwise is not said")
def the_scheme_may_be_written_in_any_case(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token().secret
    for scheme in ("Bearer", "BEARER", "bearer"):
        assert door.send({"Authorization": f"{scheme} {secret}"}).status == 200


@promise(NAME, "T10", "Read-only tokens can only access find and findOne")
def a_read_only_token_can_find_and_find_one(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token(type=READ_ONLY).secret
    door.assert_lets_in(secret)
    door.assert_lets_in(secret, "GET", "/api/articles/1")
    door.assert_lets_in(secret, "GET", "/api/restaurants")


@promise(NAME, "T10", "Read-only tokens can only access find and findOne")
def a_read_only_token_cannot_write(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token(type=READ_ONLY).secret
    for method in ("POST", "PUT", "DELETE"):
        door.ask(secret, method).assert_is(PRODUCT.forbidden)


@promise(NAME, "T11", "access for people or applications without managing a user account")
def a_token_needs_no_user(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    issued = door.token()
    assert "principal" not in issued.token
    assert "x-tokenkeep-principal" not in door.assert_lets_in(issued.secret)


@promise(NAME, "T12", "REST and GraphQL queries")
def one_token_works_for_rest_and_for_graphql(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token().secret
    door.assert_lets_in(secret)
    door.assert_lets_in(secret, "POST", "/graphql")
    door.send({}, "POST", "/graphql").assert_is(PRODUCT.missing)


@promise(NAME, "T12", "GraphQL queries: what is asked for stands in the body")
def graphql_is_told_what_the_token_may_do(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    told = door.assert_lets_in(door.token(type=READ_ONLY).secret, "POST", "/graphql")
    assert set(told["x-tokenkeep-scopes"].split()) == {"find:*", "findOne:*"}
