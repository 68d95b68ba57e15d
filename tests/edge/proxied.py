"""What holds behind each proxy that is configured as this project shows it."""

from __future__ import annotations

from collections.abc import Callable

from stage import Door, Stage

FORGED = "written-by-a-client"

Test = Callable[[Stage, Door], None]


def a_live_token_is_let_through_and_told_of(stage: Stage, door: Door) -> None:
    issued = door.token(name="Größe 1")
    told = door.assert_lets_in(issued.secret)
    expected = {"token-id": issued.id, "token-name": "Gr%C3%B6%C3%9Fe%201", "type": "custom", "scopes": "read write"}
    expected |= {"workspace": door.workspace, "principal": door.owner}
    told = {name.removeprefix("x-tokenkeep-"): value for name, value in told.items() if value}
    assert told == expected, told
    reached = stage.upstream.reached[-1]
    assert not reached.headers.get("authorization") and issued.secret not in str(reached)


def who_is_refused_is_answered_to_the_letter(stage: Stage, door: Door) -> None:
    product = door.product
    before = len(stage.upstream.reached)
    door.send({}).assert_is(product.missing)
    door.ask("nonsense").assert_is(product.invalid)
    door.ask(stage.other_door(product).token().secret).assert_is(product.invalid)
    door.ask(door.token(scopes=["write"]).secret).assert_is(product.forbidden)
    assert len(stage.upstream.reached) == before


def an_identity_that_a_client_sends_is_dropped(stage: Stage, door: Door) -> None:
    # The owner has no handle, so that nothing takes the place of a username.
    names = ("x-tokenkeep-principal", "x-tokenkeep-username", "X_Tokenkeep_Principal", "X-Tokenkeep_Username")
    assert door.ask(door.token().secret, **dict.fromkeys(names, FORGED)).status == 200
    assert FORGED not in str(stage.upstream.reached[-1])


def the_address_is_that_of_the_connection(stage: Stage, door: Door) -> None:
    door.assert_lets_in(door.token(allowed_cidrs=["127.0.0.0/8"]).secret)
    elsewhere = door.token(allowed_cidrs=["198.51.100.0/24"]).secret
    claims = {"x-real-ip": "198.51.100.1", "x-forwarded-for": "198.51.100.1"}
    door.ask(elsewhere, **claims).assert_is(door.product.invalid)


PROXIED: list[Test] = [
    a_live_token_is_let_through_and_told_of,
    who_is_refused_is_answered_to_the_letter,
    an_identity_that_a_client_sends_is_dropped,
    the_address_is_that_of_the_connection,
]
