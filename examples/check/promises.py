"""What each example promises beside a server that stays: each promise is a function that fails where it is not kept."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise

from grpc import StatusCode

from between import Between, Call, Refusal, hang, lose_the_answer
from stage import EXAMPLES, Example, Operator, Told, Watcher
from tokenkeep.v1 import token_service_pb2 as rpc

ALLOWED, NO_ANSWER, NOT_ALLOWED = 0, 1, 3  # Exit codes of the examples.
PATIENCE = 5.0  # Seconds that an example gives a call.
ASKED = 0.4  # Seconds that a refusal asks not to be called for.

AWAY = Refusal(StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE", ASKED)
BUSY = Refusal(StatusCode.RESOURCE_EXHAUSTED, "SERVER_OVERLOADED", ASKED)
FULL = Refusal(StatusCode.RESOURCE_EXHAUSTED, "TOKEN_LIMIT_REACHED")
UNKNOWN = Refusal(StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN")
LOST = Refusal(StatusCode.FAILED_PRECONDITION, "CURSOR_FOREIGN")


class Walk:
    """An example, somebody who can do everything, and a server in between that fails calls as it is told to."""

    def __init__(self, example: Example, operator: Operator) -> None:
        self.example = example
        self.operator = operator
        self.between = Between(example.address)

    def run(self, *arguments: str, given: str = "", **settings: str) -> Told:
        """Runs the example through the server in between."""
        return self.example.run(*arguments, given=given, TOKENKEEP_SERVER=self.between.server, **settings)

    def watch(self) -> Watcher:
        return self.example.watch(TOKENKEEP_SERVER=self.between.server)

    def name(self) -> str:
        return f"{self.example.name}-{uuid.uuid4().hex[:8]}"


PROMISES: list[Callable[[Walk], None]] = []


def promise(step: Callable[[Walk], None]) -> Callable[[Walk], None]:
    PROMISES.append(step)
    return step


@promise
def the_commands_of_the_readme_do_what_it_says(walk: Walk) -> None:
    page = (EXAMPLES / walk.example.name / "README.md").read_text()
    _, commands, watch = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    active, revoked, inactive = walk.example.shell(commands).splitlines()
    id = revoked.removeprefix("revoked ")
    assert active == f"active {id} articles:find" and inactive == "inactive REVOKED", (active, revoked, inactive)
    assert watch.split()[-2:] == ["watch", "cursor"]


@promise
def a_token_is_what_was_asked_for(walk: Walk) -> None:
    told = walk.example.run("create", name := walk.name(), "articles:find", "articles:list")
    id, secret = told.output.split()
    (token,) = walk.operator.named(name)
    assert (token.id, list(token.scopes)) == (id, ["articles:find", "articles:list"]), told
    assert 29 < (token.expire_time.seconds - token.create_time.seconds) / 86_400 <= 30


@promise
def verdicts_are_told_apart(walk: Walk) -> None:
    created = walk.operator.create(walk.name())
    told = walk.example.run("introspect", "articles:find", given=created.secret)
    assert (told.code, told.output) == (ALLOWED, f"active {created.token.id} articles:find"), told
    told = walk.example.run("introspect", "articles:delete", given=created.secret)
    assert (told.code, told.output) == (NOT_ALLOWED, "lacks articles:delete"), told
    told = walk.example.run("introspect", given="tk_mistyped")
    assert (told.code, told.output) == (NOT_ALLOWED, "inactive MALFORMED"), told


@promise
def retries_wait_as_they_are_asked_to_and_are_the_same_request(walk: Walk) -> None:
    walk.between.fail("CreateToken", AWAY, BUSY, UNKNOWN)
    told = walk.run("create", walk.name(), "articles:find")
    assert told.code == 0, told
    first, second, third, last = walk.between.calls["CreateToken"]
    assert first.request == second.request == third.request == last.request
    assert uuid.UUID(rpc.CreateTokenRequest.FromString(first.request).request_id).version == 4
    assert min(pauses([first, second, third])) >= ASKED


@promise
def each_intention_has_a_request_id_of_its_own(walk: Walk) -> None:
    ids = {request_id(walk) for _ in range(2)}
    walk.between.fail("RevokeToken", AWAY)
    assert walk.run("revoke", walk.operator.create(walk.name()).token.id, "lost laptop").code == 0
    revokes = [rpc.RevokeTokenRequest.FromString(call.request) for call in walk.between.calls["RevokeToken"]]
    assert len(revokes) == 2 and revokes[0] == revokes[1]
    assert uuid.UUID(revokes[0].request_id).version == 4
    assert len(ids | {revokes[0].request_id}) == 3


def request_id(walk: Walk) -> str:
    walk.between.fail("CreateToken")
    assert walk.run("create", walk.name()).code == 0
    (call,) = walk.between.calls["CreateToken"]
    return rpc.CreateTokenRequest.FromString(call.request).request_id


@promise
def a_creation_whose_answer_was_lost_makes_one_token(walk: Walk) -> None:
    walk.between.fail("CreateToken", lose_the_answer)
    told = walk.run("create", name := walk.name(), "articles:find")
    id, secret = told.output.split()
    assert [token.id for token in walk.operator.named(name)] == [id]
    assert walk.example.run("introspect", given=secret).code == ALLOWED


@promise
def a_limit_that_is_reached_is_not_tried_again(walk: Walk) -> None:
    walk.between.fail("CreateToken", FULL)
    told = walk.run("create", walk.name())
    assert told.code == NO_ANSWER and "TOKEN_LIMIT_REACHED" in told.errors, told
    assert len(walk.between.calls["CreateToken"]) == 1


@promise
def an_outage_is_no_verdict(walk: Walk) -> None:
    walk.between.fail("IntrospectToken", *[AWAY] * 100)
    told = walk.run("introspect", given=walk.operator.create(walk.name()).secret)
    assert told.code == NO_ANSWER and not told.output, told
    assert re.search(r"^cannot decide: UNAVAILABLE DATABASE_UNAVAILABLE", told.errors, re.M | re.I), told
    calls = walk.between.calls["IntrospectToken"]
    between = pauses(calls)
    assert len(calls) >= 3 and min(between) >= ASKED, between
    assert max(between) - min(between) > 0.1, f"in step with all others: {between}"
    assert calls[-1].moment - calls[0].moment < PATIENCE + 1.0


@promise
def an_overload_is_no_verdict_and_may_pass(walk: Walk) -> None:
    walk.between.fail("IntrospectToken", BUSY)
    told = walk.run("introspect", given=walk.operator.create(walk.name()).secret)
    assert told.code == ALLOWED and len(walk.between.calls["IntrospectToken"]) > 1, told


@promise
def an_attempt_that_hangs_is_given_up_for_another(walk: Walk) -> None:
    walk.between.fail("IntrospectToken", hang)
    told = walk.run("introspect", given=walk.operator.create(walk.name()).secret)
    assert told.code == ALLOWED and len(walk.between.calls["IntrospectToken"]) > 1, told


@promise
def a_refused_credential_says_nothing_about_the_token(walk: Walk) -> None:
    secret = walk.operator.create(walk.name()).secret
    told = walk.example.run("introspect", given=secret, TOKENKEEP_CREDENTIAL_FILE="", TOKENKEEP_CREDENTIAL="mistyped")
    assert told.code == NO_ANSWER and not told.output, told
    assert re.search(r"^cannot decide: UNAUTHENTICATED CREDENTIAL_INVALID", told.errors, re.M | re.I), told


@promise
def a_credential_that_cannot_be_read_says_nothing_either(walk: Walk) -> None:
    told = walk.example.run(
        "introspect", given=walk.operator.create(walk.name()).secret, TOKENKEEP_CREDENTIAL_FILE="gone"
    )
    assert told.code == NO_ANSWER and not told.output, told


@promise
def a_credential_from_the_environment_serves_as_well(walk: Walk) -> None:
    credential = (EXAMPLES / "credential").read_text()
    secret = walk.operator.create(walk.name()).secret
    told = walk.example.run("introspect", given=secret, TOKENKEEP_CREDENTIAL_FILE="", TOKENKEEP_CREDENTIAL=credential)
    assert told.code == ALLOWED, told


@promise
def a_stream_that_fell_silent_is_resumed(walk: Walk) -> None:
    with closing(walk.watch()) as watcher:
        watcher.up()
        walk.between.mute()
        id = walk.operator.revoked(walk.name())
        watcher.hears(id)
        assert watcher.revoked().count(id) == 1


@promise
def a_stream_that_cannot_be_opened_is_tried_again_as_asked(walk: Walk) -> None:
    walk.between.fail("WatchRevocations", AWAY, BUSY)
    with closing(walk.watch()) as watcher:
        watcher.up()
    assert min(pauses(walk.between.calls["WatchRevocations"])) >= ASKED


@promise
def a_history_that_is_lost_is_told_and_a_new_one_begun(walk: Walk) -> None:
    walk.between.fail("WatchRevocations")
    with closing(walk.watch()) as watcher:
        watcher.up()
    walk.between.fail("WatchRevocations", LOST)
    watcher.start()
    with closing(watcher):
        assert "CURSOR_FOREIGN" in watcher.hears("lost ")
        watcher.cursor_file.unlink()
        watcher.up()
        watcher.hears(walk.operator.revoked(walk.name()))
    requests = [rpc.WatchRevocationsRequest.FromString(call.request) for call in walk.between.calls["WatchRevocations"]]
    # On a busy machine the new stream may fall silent and be resumed in turn.
    cursors = [bool(request.cursor) for request in requests]
    assert cursors[:2] == [True, False], cursors


@promise
def a_stream_goes_on_with_another_credential(walk: Walk) -> None:
    first, second = (walk.operator.create(walk.name(), "tokenkeep:revocations:watch") for _ in range(2))
    token_file = walk.example.scratch("replaced")
    token_file.write_text(first.secret)
    with closing(walk.example.watch(TOKENKEEP_CREDENTIAL_FILE=str(token_file))) as watcher:
        watcher.up()
        token_file.write_text(second.secret)
        walk.operator.revoke(first.token.id)
        watcher.hears(walk.operator.revoked(walk.name()))


@promise
def an_altered_cursor_is_not_gone_on_from(walk: Walk) -> None:
    cursor_file = walk.example.scratch("altered")
    cursor_file.write_text("altered")
    told = walk.example.run("watch", str(cursor_file))
    assert told.code == NO_ANSWER and "INVALID_CURSOR" in told.errors, told


def pauses(calls: list[Call]) -> list[float]:
    """The seconds between calls."""
    return [later.moment - earlier.moment for earlier, later in pairwise(calls)]
