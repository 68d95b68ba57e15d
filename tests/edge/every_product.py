"""What holds of every product, whether its document says it or not."""

from __future__ import annotations

import time

from api import Issued
from moments import seconds
from processes import until
from products import Json, Product
from promises import promise_of_all
from reflected import refusal
from stage import Stage

LATITUDE = 1.0  # Seconds, by which a busy machine may be late, and two programs' clocks apart.
FORGED = "written-by-a-client"
FORGED_BODY = "0123456789" * 8 + "0123"  # As long as a token's, and nobody's.


@promise_of_all("a request without a token", select_star="S4", coolset="C7")
def a_request_without_a_token_is_answered_to_the_letter(stage: Stage, product: Product) -> None:
    stage.door(product).send({}).assert_is(product.missing)


@promise_of_all("every request needs a token", select_star="S4", undb="U1", coolset="C1", qualytics="Q5", strapi="T9")
def no_path_and_no_method_is_open(stage: Stage, product: Product) -> None:
    door, before = stage.door(product), len(stage.upstream.reached)
    places = {
        (route.method or method, route.prefix) for route in product.routes for method in ("GET", "POST", "DELETE")
    }
    for method, path in places:
        door.send({}, method, path).assert_is(product.missing)
        door.ask("nonsense", method, path).assert_is(product.invalid)
    assert len(stage.upstream.reached) == before


@promise_of_all("a header with nothing in it", select_star="S4", coolset="C7")
def an_empty_header_counts_as_no_token(stage: Stage, product: Product) -> None:
    for value in ("", " "):
        stage.door(product).send({product.header: value}).assert_is(product.missing)


@promise_of_all("a header with too much in it, or too little", select_star="S4", coolset="C7")
def a_header_that_does_not_hold_exactly_one_token_is_invalid(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    secret = door.token().secret
    door.ask(f"{secret} {secret}").assert_is(product.invalid)
    if product.scheme:
        door.send({product.header: product.scheme}).assert_is(product.invalid)
    # In two headers of one name, which HTTP takes for one that lists both.
    door.send([*product.presented(secret).items()] * 2).assert_is(product.invalid)


@promise_of_all("another scheme than the document's", select_star="S3", coolset="C1")
def another_scheme_is_not_accepted(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    answer = door.send({product.header: f"Basic {door.token().secret}"})
    answer.assert_is(product.missing if product.scheme else product.invalid)


@promise_of_all("a token that is none", select_star="S4", coolset="C7")
def a_string_that_is_no_token_is_invalid(stage: Stage, product: Product) -> None:
    for nonsense in ("nonsense", f"tk_{FORGED_BODY}", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "x" * 2000):
        stage.door(product).ask(nonsense).assert_is(product.invalid)


@promise_of_all("an altered token", select_star="S4", coolset="C7")
def a_token_with_one_character_changed_is_invalid(stage: Stage, product: Product) -> None:
    secret = stage.door(product).token().secret
    altered = secret[:-30] + ("A" if secret[-30] != "A" else "B") + secret[-29:]
    stage.door(product).ask(altered).assert_is(product.invalid)


@promise_of_all("an expired token", select_star="S4", strapi="T2", qualytics="Q2")
def a_token_works_until_it_expires_and_not_longer(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    issued = door.short_lived(3)
    expiry = seconds(issued.token["expire_time"])
    door.assert_lets_in(issued.secret)
    until(lambda: door.ask(issued.secret).status != 200, "the expiry", within=10)
    assert expiry - LATITUDE <= time.time() <= expiry + LATITUDE
    door.ask(issued.secret).assert_is(product.invalid)
    assert stage.api.get(issued)["state"] == "TOKEN_STATE_EXPIRED"


@promise_of_all("a revoked or deleted token", select_star="S2", coolset="C6", strapi="T5")
def a_revoked_token_is_invalid(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    issued = door.token()
    door.assert_lets_in(issued.secret)
    stage.api.revoke(issued)
    door.ask(issued.secret).assert_is(product.invalid)


@promise_of_all("a secret that was replaced", strapi="T7", coolset="C5")
def an_old_secret_is_invalid_and_the_new_one_works(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    before = door.token()
    door.assert_lets_in(before.secret)
    after = stage.api.regenerate(before)
    door.ask(before.secret).assert_is(product.invalid)
    door.assert_lets_in(after.secret)


@promise_of_all("a token of another workspace", undb="U1", coolset="C4")
def a_token_is_invalid_in_another_workspace_of_the_product(stage: Stage, product: Product) -> None:
    secret = stage.door(product).token().secret
    stage.other_door(product).ask(secret).assert_is(product.invalid)


@promise_of_all("a token of another product")
def a_token_of_another_product_is_invalid(stage: Stage, product: Product) -> None:
    other = next(name for name in stage.doors if name != product.name)
    secret = stage.door(other).token().secret
    stage.door(product).ask(secret).assert_is(product.invalid)


@promise_of_all("the secret is shown once", undb="U3", strapi="T6", qualytics="Q3")
def a_secret_is_never_shown_again(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    issued = door.token()
    for told in told_of(stage, issued, door.workspace):
        assert issued.proper not in str(told) and "secret" not in told
        assert issued.secret.endswith(told["obfuscated_secret"][-4:])


@promise_of_all("the secret is shown once, also when it was replaced", strapi="T7")
def a_replaced_secret_is_never_shown_again(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    before = door.token()
    after = stage.api.regenerate(before)
    for told in told_of(stage, after, door.workspace):
        assert after.proper not in str(told) and before.proper not in str(told) and "secret" not in told
        assert after.secret.endswith(told["obfuscated_secret"][-4:])


def told_of(stage: Stage, issued: Issued, workspace: str) -> list[Json]:
    """The token as each call answers it, which revokes it at last."""
    edited = stage.api.update(issued, description="edited")
    return [edited, stage.api.get(issued), stage.api.listed(workspace)[issued.id], stage.api.revoke(issued)]


@promise_of_all("the list of tokens", qualytics="Q4", strapi="T4", coolset="C6", undb="U2")
def a_created_token_appears_in_the_list(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    issued = door.token(name="to be found")
    assert stage.api.listed(door.workspace)[issued.id]["name"] == "to be found"


@promise_of_all("what the product is told of a token", strapi="T12", qualytics="Q2", undb="U1", coolset="C4")
def the_product_learns_who_asks_and_never_the_token(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    issued = door.token(name="Größe 1")
    told = door.assert_lets_in(issued.secret)
    assert told["x-tokenkeep-token-id"] == issued.id
    assert told["x-tokenkeep-workspace"] == door.workspace
    assert told["x-tokenkeep-token-name"] == "Gr%C3%B6%C3%9Fe%201"
    assert told.get("x-tokenkeep-principal", "") == issued.token.get("principal", "")
    assert told["x-tokenkeep-type"] == issued.token["type"].removeprefix("TOKEN_TYPE_").lower()
    assert told["x-tokenkeep-scopes"].split() == issued.token["scopes"]
    reached = stage.upstream.reached[-1]
    assert product.header.lower() not in reached.headers
    assert issued.secret not in str(reached.headers)


@promise_of_all("an identity that a client claims")
def an_identity_that_a_client_sends_is_dropped(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    known = ("token-id", "workspace", "principal", "username", "scopes", "type", "token-name")
    names = [f"x-tokenkeep-{name}" for name in (*known, "further")] + ["X_Tokenkeep_Principal", "x-tokenkeep_username"]
    assert door.ask(door.token().secret, **dict.fromkeys(names, FORGED)).status == 200
    # Not beside the true value either.
    assert FORGED not in str(stage.upstream.reached[-1])
    assert "x-tokenkeep-further" not in stage.upstream.reached[-1].identity()


@promise_of_all("tokens for a network of one's own")
def a_token_for_other_addresses_is_invalid_whatever_a_header_claims(stage: Stage, product: Product) -> None:
    door = stage.door(product)
    here = door.token(allowed_cidrs=["127.0.0.0/8"]).secret
    elsewhere = door.token(allowed_cidrs=["198.51.100.0/24", "2001:db8::/32"]).secret
    door.assert_lets_in(here)
    door.ask(elsewhere).assert_is(product.invalid)
    door.ask(elsewhere, **{"x-forwarded-for": "198.51.100.1", "x-real-ip": "198.51.100.1"}).assert_is(product.invalid)


@promise_of_all("who made a token")
def a_token_says_on_whose_behalf_it_was_made(stage: Stage, product: Product) -> None:
    assert stage.door(product).token(initiator="ada").token["creator"] == "ada"


@promise_of_all("a token is bound to one workspace", undb="U5", coolset="C4")
def a_token_is_never_moved_to_another_workspace(stage: Stage, product: Product) -> None:
    issued = stage.door(product).token()
    changed = {"id": issued.id, "workspace": stage.other_door(product).workspace}
    refused = refusal(lambda: stage.api.tokens.call("UpdateToken", token=changed, update_mask="workspace"))
    assert refused.code == "INVALID_ARGUMENT"


@promise_of_all("a route that is configured wrongly")
def a_route_with_an_unknown_profile_is_an_error_and_no_verdict(stage: Stage, product: Product) -> None:
    door = stage.wrong_door(product)
    for answer in (door.ask(stage.door(product).token().secret), door.ask("nonsense"), door.send({})):
        assert answer.status == 503, (answer.status, answer.body)


@promise_of_all("another proxy than Envoy, by forward_auth or auth_request")
def a_plain_proxy_is_told_the_same(stage: Stage, product: Product) -> None:
    door, issued = stage.door(product), stage.door(product).token()
    headers = product.presented(issued.secret)
    told = stage.forward_auth.ask(door, headers)
    assert told.status == 200, (told.status, told.body)
    assert told.headers["x-tokenkeep-token-id"] == issued.id
    assert told.headers["x-tokenkeep-username"] == "", "what has no value is told, so that it takes a client's place"
    stage.forward_auth.ask(door, {}).assert_is(product.missing)
    stage.forward_auth.ask(door, product.presented("nonsense")).assert_is(product.invalid)
    stage.forward_auth.ask(door, headers, scope="tokenkeep:all").assert_is(product.forbidden)
    stage.forward_auth.ask(stage.other_door(product), headers).assert_is(product.invalid)
    assert stage.forward_auth.ask(door, headers, profile="no-such-profile").status == 503
