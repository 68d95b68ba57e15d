"""Walks a token's whole life with grpcio, knowing the API through server reflection alone.

Takes TOKENKEEP_ADDRESS and TOKENKEEP_TOKEN_FILE (a credential that may do everything). Prints one line for each
promise, `PASSED …` or `FAILED …`, and exits 1 if one failed.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from reflected import DEADLINE, Json, Refused, Service, Watch, refusal

TOKENS, WORKSPACES = "tokenkeep.v1.TokenService", "tokenkeep.v1.WorkspaceService"
PRINCIPALS, HEALTH = "tokenkeep.v1.PrincipalService", "grpc.health.v1.Health"

# The principal that the token of the walk acts for.
ADA = "user:ada"

PROMISES: list[Callable[[Walk], None]] = []


def promise(step: Callable[[Walk], None]) -> Callable[[Walk], None]:
    """Makes a method of `Walk` one of its steps."""
    PROMISES.append(step)
    return step


class Walk:
    """The steps of the walk, in order; each is a promise and stands on what those before it left."""

    def __init__(self, channel: grpc.Channel, credential: str) -> None:
        self._database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(self._database)
        self.tokens = Service(channel, pool.FindServiceByName(TOKENS), credential)
        self.strangers_tokens = Service(channel, pool.FindServiceByName(TOKENS), None)
        self.workspaces = Service(channel, pool.FindServiceByName(WORKSPACES), credential)
        self.principals = Service(channel, pool.FindServiceByName(PRINCIPALS), credential)
        self.health = Service(channel, pool.FindServiceByName(HEALTH), None)
        self.workspace = f"walk-{uuid.uuid4().hex[:12]}"

    @promise
    def reflection_lists_every_service(self) -> None:
        assert {TOKENS, WORKSPACES, PRINCIPALS, HEALTH} <= set(self._database.get_services())

    @promise
    def health_serves_the_whole_and_each_service(self) -> None:
        told = [name for name in self._database.get_services() if name.startswith("tokenkeep.")]
        for service in ("", *told):
            assert self.health.call("Check", service=service)["status"] == "SERVING"

    @promise
    def a_caller_without_a_credential_is_refused(self) -> None:
        refused = refusal(lambda: self.strangers_tokens.call("GetToken", id=str(uuid.uuid4())))
        assert refused == Refused("UNAUTHENTICATED", "CREDENTIAL_MISSING", "tokenkeep")

    @promise
    def a_workspace_is_created_once(self) -> None:
        wanted = {"id": self.workspace, "name": "Walk", "token_prefix": "sk_live"}
        created = self.workspaces.call("CreateWorkspace", workspace=wanted)["workspace"]
        assert created["token_prefix"] == "sk_live"
        assert self.workspaces.call("GetWorkspace", id=self.workspace)["workspace"] == created
        refused = refusal(lambda: self.workspaces.call("CreateWorkspace", workspace=wanted))
        assert refused == Refused("ALREADY_EXISTS", "WORKSPACE_EXISTS", "tokenkeep")

    @promise
    def a_watch_begins_with_its_place(self) -> None:
        self.watch = Watch(self.tokens, self.workspace)
        first = self.watch.next()
        assert "progress" in first
        self.beginning = first["cursor"]

    @promise
    def a_token_needs_its_principal(self) -> None:
        wanted = {"workspace": self.workspace, "name": "early", "principal": ADA}
        refused = refusal(lambda: self.tokens.call("CreateToken", **wanted))
        assert refused == Refused("NOT_FOUND", "PRINCIPAL_NOT_FOUND", "tokenkeep")
        user = {"workspace": self.workspace, "id": ADA, "kind": "PRINCIPAL_KIND_USER", "name": "Ada", "scopes": ["*"]}
        created = self.principals.call("CreatePrincipal", principal=user)["principal"]
        assert self.principals.call("GetPrincipal", workspace=self.workspace, id=ADA)["principal"] == created

    @promise
    def a_token_is_created_and_its_secret_answered(self) -> None:
        response = self.tokens.call(
            "CreateToken",
            workspace=self.workspace,
            name="walker",
            description="walks",
            principal=ADA,
            initiator="the walk",
            scopes=["orders:write", "orders:read"],
            metadata={"team": "a"},
            lifetime="3600s",
        )
        self.token, self.secret = response["token"], response["secret"]
        assert self.secret.startswith("sk_live_")
        assert self.token["state"] == "TOKEN_STATE_ACTIVE"
        assert self.token["scopes"] == ["orders:read", "orders:write"]
        assert (self.token["creator"], self.token["generation"]) == ("the walk", 1)

    @promise
    def a_token_is_read_as_it_was_created(self) -> None:
        assert self.tokens.call("GetToken", id=self.token["id"])["token"] == self.token

    @promise
    def a_wrong_field_is_named(self) -> None:
        refused = refusal(lambda: self.tokens.call("CreateToken", workspace=self.workspace, scopes=["a b"]))
        assert (refused.code, refused.reason, refused.domain) == ("INVALID_ARGUMENT", "INVALID_FIELD", "tokenkeep")
        assert {"name", "scopes[0]"} <= set(refused.fields), refused.fields

    @promise
    def an_unknown_token_is_not_found(self) -> None:
        refused = refusal(lambda: self.tokens.call("GetToken", id=str(uuid.uuid4())))
        assert refused == Refused("NOT_FOUND", "TOKEN_NOT_FOUND", "tokenkeep")

    @promise
    def each_filter_narrows_the_list(self) -> None:
        for name in ("second", "third"):
            self.tokens.call("CreateToken", workspace=self.workspace, name=name, scopes=["orders:*"])
        assert self.names() == ["third", "second", "walker"]
        assert self.names(name_prefix="wal") == ["walker"]
        assert self.names(principal=ADA) == ["walker"]
        assert self.names(scope="orders:*") == ["third", "second"]
        assert self.names(expiring_within="7200s") == ["walker"]
        assert self.names(expiring_within="60s") == []
        assert self.names(states=["TOKEN_STATE_REVOKED"]) == []
        assert self.names(never_used=True, name_prefix="s") == ["second"]
        assert self.names(unused_since="2020-01-01T00:00:00Z") == []

    def names(self, **filters: Any) -> list[str]:
        listed = self.tokens.call("ListTokens", workspace=self.workspace, filter=filters)
        return [token["name"] for token in listed.get("tokens", [])]

    @promise
    def pages_show_each_token_once(self) -> None:
        names: list[str] = []
        page_token = ""
        while page_token or not names:
            page = self.tokens.call("ListTokens", workspace=self.workspace, page_size=1, page_token=page_token)
            names += [token["name"] for token in page["tokens"]]
            page_token = page.get("next_page_token", "")
        assert names == ["third", "second", "walker"]

    @promise
    def a_page_token_serves_its_own_list_alone(self) -> None:
        page = self.tokens.call("ListTokens", workspace=self.workspace, page_size=1)
        refused = refusal(
            lambda: self.tokens.call("ListTokens", workspace="tokenkeep", page_token=page["next_page_token"])
        )
        assert refused == Refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "tokenkeep", refused.fields)

    @promise
    def an_update_takes_what_its_mask_names(self) -> None:
        edited = {"id": self.token["id"], "etag": self.token["etag"], "name": "renamed", "description": "not taken"}
        token = self.tokens.call("UpdateToken", token=edited, update_mask="name,expireTime")["token"]
        assert (token["name"], token["description"]) == ("renamed", "walks")
        assert "expire_time" not in token
        assert token["etag"] != self.token["etag"]
        self.token = token

    @promise
    def a_stale_etag_is_refused(self) -> None:
        stale = {"id": self.token["id"], "etag": "stale", "name": "lost"}
        refused = refusal(lambda: self.tokens.call("UpdateToken", token=stale, update_mask="name"))
        assert refused == Refused("ABORTED", "ETAG_MISMATCH", "tokenkeep")

    @promise
    def an_introspection_tells_what_the_token_is(self) -> None:
        told = self.introspect(self.secret, required_scopes=["orders:read"], include_metadata=True)
        assert (told["active"], told["decision"]) == (True, "DECISION_ALLOW")
        assert (told["jti"], told["sub"], told["workspace"]) == (self.token["id"], ADA, self.workspace)
        assert (told["scope"], told["token_type"]) == ("orders:read orders:write", "Bearer")
        assert (told["metadata"], told["cache_lifetime"]) == ({"team": "a"}, "0s")

    @promise
    def a_lacking_scope_is_named(self) -> None:
        told = self.introspect(self.secret, required_scopes=["orders:read", "orders:delete"])
        assert (told["active"], told["decision"]) == (True, "DECISION_DENY_SCOPE")
        assert told["missing_scopes"] == ["orders:delete"]

    @promise
    def a_token_is_inactive_elsewhere(self) -> None:
        self.assert_inactive(self.tokens.call("IntrospectToken", token=self.secret, workspace="tokenkeep"))

    @promise
    def a_string_that_is_no_token_is_inactive(self) -> None:
        self.assert_inactive(self.introspect("nonsense"))

    @promise
    def a_forged_token_is_inactive(self) -> None:
        last = "a" if self.secret[-1] != "a" else "b"
        self.assert_inactive(self.introspect(self.secret[:-1] + last))

    @promise
    def last_use_appears(self) -> None:
        deadline = time.monotonic() + 2 * DEADLINE
        while "last_use_time" not in self.tokens.call("GetToken", id=self.token["id"])["token"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    @promise
    def of_two_regenerates_at_once_exactly_one_wins(self) -> None:
        with ThreadPoolExecutor(2) as callers:
            outcomes = list(callers.map(lambda _: self.regenerate(), range(2)))
        won = [outcome for outcome in outcomes if not isinstance(outcome, Refused)]
        lost = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert lost == [Refused("ABORTED", "ETAG_MISMATCH", "tokenkeep")]
        self.old_secret, self.secret = self.secret, won[0]["secret"]
        assert won[0]["token"]["id"] == self.token["id"]
        self.token = won[0]["token"]
        assert self.token["generation"] == 2

    def regenerate(self) -> Json | Refused:
        try:
            return self.tokens.call("RegenerateToken", id=self.token["id"], etag=self.token["etag"])
        except Refused as refused:
            return refused

    @promise
    def the_new_secret_works_and_the_old_one_is_dead(self) -> None:
        assert self.introspect(self.secret)["generation"] == 2
        self.assert_inactive(self.introspect(self.old_secret))

    @promise
    def a_revoke_is_final_and_idempotent(self) -> None:
        request = {"id": self.token["id"], "reason": "the walk ends", "initiator": "the walk"}
        revoked = self.tokens.call("RevokeToken", **request)["token"]
        assert (revoked["state"], revoked["revoke_reason"]) == ("TOKEN_STATE_REVOKED", "the walk ends")
        assert self.tokens.call("RevokeToken", **request)["token"] == revoked
        edited = {"id": self.token["id"], "name": "again"}
        refused = refusal(lambda: self.tokens.call("UpdateToken", token=edited, update_mask="name"))
        assert refused == Refused("FAILED_PRECONDITION", "TOKEN_REVOKED", "tokenkeep")
        self.revoked = revoked

    @promise
    def a_revoked_token_is_inactive(self) -> None:
        told = self.introspect(self.secret)
        self.assert_inactive(told)
        assert told["inactive_reason"] == "INACTIVE_REASON_REVOKED"

    @promise
    def the_watch_saw_every_change_in_order(self) -> None:
        self.seen = [self.watch.event() for _ in range(3)]
        kinds = [frame["event"]["kind"].removeprefix("REVOCATION_KIND_") for frame in self.seen]
        assert kinds == ["UPDATED", "SECRET_REPLACED", "REVOKED"]
        assert {frame["event"]["token_id"] for frame in self.seen} == {self.token["id"]}
        revisions = [int(frame["revision"]) for frame in self.seen]
        assert revisions == sorted(set(revisions))
        assert self.seen[-1]["event"]["reason"] == "the walk ends"
        assert self.seen[-1]["revision"] == self.revoked["revision"]
        self.watch.stop()

    @promise
    def a_watch_resumes_right_after_its_cursor(self) -> None:
        for cursor, expected in ((self.beginning, self.seen), (self.seen[0]["cursor"], self.seen[1:])):
            resumed = Watch(self.tokens, self.workspace, cursor)
            events = [resumed.event()["event"] for _ in expected]
            assert events == [frame["event"] for frame in expected]
            resumed.stop()

    @promise
    def progress_says_that_nothing_is_outstanding(self) -> None:
        resumed = Watch(self.tokens, self.workspace, self.seen[-1]["cursor"])
        frame = resumed.next()
        assert "progress" in frame
        assert int(frame["revision"]) >= int(self.revoked["revision"])
        resumed.stop()

    @promise
    def an_altered_cursor_is_refused(self) -> None:
        refused = refusal(lambda: Watch(self.tokens, self.workspace, "nonsense").next())
        assert refused == Refused("INVALID_ARGUMENT", "INVALID_CURSOR", "tokenkeep", refused.fields)

    def introspect(self, token: str, **request: Any) -> Json:
        return self.tokens.call("IntrospectToken", token=token, workspace=self.workspace, **request)

    def assert_inactive(self, told: Json) -> None:
        assert not told.get("active", False)
        assert told["decision"] == "DECISION_DENY_INACTIVE"
        assert not {"scope", "sub", "jti", "name", "workspace"} & set(told)


def main() -> int:
    address = os.environ.get("TOKENKEEP_ADDRESS", "127.0.0.1:50051")
    credential = Path(os.environ["TOKENKEEP_TOKEN_FILE"]).read_text().strip()
    failed = 0
    with grpc.insecure_channel(address) as channel:
        walk = Walk(channel, credential)
        for step in PROMISES:
            failed += not kept(step, walk)
    return 1 if failed else 0


def kept(step: Callable[[Walk], None], walk: Walk) -> bool:
    """Takes one step and says how it went."""
    promise = "grpcio: " + step.__name__.replace("_", " ")
    try:
        step(walk)
    except Exception:  # Whatever it was, the promise was not kept, and the next one is tried.
        traceback.print_exc()
        print(f"FAILED {promise}", flush=True)
        return False
    print(f"PASSED {promise}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
