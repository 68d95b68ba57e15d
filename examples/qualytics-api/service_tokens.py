"""The product's service tokens, kept by tokenkeep: who may create one, and what becomes of the wish for one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tokenkeep.v1 import principal_service_pb2 as principals
from tokenkeep.v1 import principal_service_pb2_grpc, token_pb2, token_service_pb2_grpc
from tokenkeep.v1 import token_service_pb2 as rpc

ANSWER_WITHIN = 2.0  # Seconds. Longer than any healthy answer takes, shorter than people's patience.

# What an administrator's own token must be allowed to do.
CREATING = "user-tokens:create"

# What the product calls the kinds of principals.
USER_TYPES = {
    token_pb2.PRINCIPAL_KIND_SERVICE_ACCOUNT: "Service",
    token_pb2.PRINCIPAL_KIND_USER: "User",
}


class Refused(Exception):
    """A request that is answered with this status and this sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Settings:
    """Where tokenkeep is (`host:port`), the file with this service's credential, and the product's workspace."""

    address: str
    token_file: Path
    workspace: str

    @classmethod
    def from_environment(cls) -> Settings:
        token_file = os.environ.get("TOKENKEEP_TOKEN_FILE")
        if not token_file:
            raise SystemExit("TOKENKEEP_TOKEN_FILE is not set: it names the file that holds this service's credential")
        return cls(
            address=os.environ.get("TOKENKEEP_ADDRESS", "127.0.0.1:50051"),
            token_file=Path(token_file),
            workspace=os.environ.get("TOKENKEEP_WORKSPACE", "qualytics"),
        )


@dataclass(frozen=True)
class Wish:
    """A token that an administrator wants. `expires_in_days` is None for never; `scim` restricts it to SCIM."""

    name: str
    user_id: int
    expires_in_days: int | None
    scim: bool

    @classmethod
    def parse(cls, body: Any) -> Wish:
        """Reads the body of a request; a field that is wrong is named."""
        if not isinstance(body, dict):
            raise Refused(422, "the body must be a JSON object")
        if unknown := sorted(set(body) - {"name", "user_id", "expires_in_days", "scim"}):
            raise Refused(422, f"{unknown[0]}: no such field")
        name, days, scim = body.get("name"), body.get("expires_in_days"), body.get("scim", False)
        if not isinstance(name, str) or not name.strip():
            raise Refused(422, "name: must be a string that is not empty")
        if not is_count(body.get("user_id")):
            raise Refused(422, "user_id: must be the number of a user")
        if days is not None and not (is_count(days) and days <= 36_500):
            raise Refused(422, "expires_in_days: must be a number of days, or null for never")
        if not isinstance(scim, bool):
            raise Refused(422, "scim: must be true or false")
        return cls(name, body["user_id"], days, scim)


def is_count(value: Any) -> bool:
    """Whether it is a number from 1 that fits into 64 bits; true and false are numbers to Python only."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**63


class ServiceTokens:
    """Creates service tokens for administrators."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        channel = grpc.insecure_channel(settings.address, [("grpc.max_reconnect_backoff_ms", 1000)])
        self._tokens = token_service_pb2_grpc.TokenServiceStub(channel)
        self._principals = principal_service_pb2_grpc.PrincipalServiceStub(channel)

    def administrator(self, presented: str) -> str:
        """Who presents this token: the id of a principal that may create tokens."""
        request = rpc.IntrospectTokenRequest(
            token=presented, workspace=self._settings.workspace, required_scopes=[CREATING]
        )
        told = self._call(self._tokens.IntrospectToken, request)
        if not told.active:
            raise Refused(401, "Not authenticated")
        if told.decision != rpc.DECISION_ALLOW:
            raise Refused(403, "Not enough permissions")
        return told.sub or told.jti

    def create(self, wish: Wish, administrator: str) -> dict[str, Any]:
        """Creates the token, and answers it as the product's API shows it, with its secret."""
        user = self._user(wish.user_id)
        request = rpc.CreateTokenRequest(
            workspace=self._settings.workspace,
            name=wish.name,
            principal=user.id,
            initiator=administrator,
            type=token_pb2.TOKEN_TYPE_FULL_ACCESS,
            audiences=["scim"] if wish.scim else [],
        )
        if wish.expires_in_days is None:
            request.never_expires = True
        else:
            request.lifetime.FromTimedelta(timedelta(days=wish.expires_in_days))
        response = self._call(self._tokens.CreateToken, request)
        return shown(response.token, response.secret, user)

    def _user(self, number: int) -> principals.Principal:
        request = principals.GetPrincipalRequest(workspace=self._settings.workspace, external_id=number)
        return self._call(self._principals.GetPrincipal, request).principal

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        credential = self._settings.token_file.read_text().strip()
        try:
            return method(request, timeout=ANSWER_WITHIN, metadata=[("authorization", f"Bearer {credential}")])
        except grpc.RpcError as error:
            raise meaning_of(error) from error


def shown(token: token_pb2.Token, secret: str, user: principals.Principal) -> dict[str, Any]:
    """The token as the product's API shows it, with exactly the keys of its document."""
    return {
        "id": token.external_id,
        "name": token.name,
        "active": token.state == token_pb2.TOKEN_STATE_ACTIVE,
        "expiration": moment(token.expire_time) if token.HasField("expire_time") else None,
        "bearer_token": secret,
        "user": {
            "id": user.external_id,
            "user_id": user.handle,
            "name": user.name,
            "user_type": USER_TYPES[user.kind],
        },
    }


def moment(stamp: Timestamp) -> str:
    """To the second, like `2026-11-05T12:34:56Z`."""
    return f"{datetime.fromtimestamp(stamp.seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def meaning_of(error: grpc.RpcError) -> Refused:
    """What a failed call means to the administrator. Whatever is not listed is an outage, and no verdict."""
    info, wrong = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        _ = detail.Unpack(info) or detail.Unpack(wrong)
    match info.reason:
        case "PRINCIPAL_NOT_FOUND":
            return Refused(404, "user_id: there is no such user")
        case "PRINCIPAL_DISABLED":
            return Refused(409, "user_id: the user is disabled")
        case "INVALID_FIELD" | "PROFILE_FORBIDS":
            said = [f"{violation.field}: {violation.description}" for violation in wrong.field_violations]
            return Refused(422, "; ".join(said) or "the request is not allowed")
        case _:
            return Refused(503, "tokens cannot be created at the moment")
