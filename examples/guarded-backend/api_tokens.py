"""The product's API tokens, in the words of its administrators and clients, kept by tokenkeep."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from connection import Connection
from errors import NoSuchToken, Undecided
from tokenkeep.v1 import token_pb2
from tokenkeep.v1 import token_service_pb2 as rpc

DURATIONS: dict[str, timedelta | None] = {
    "7 days": timedelta(days=7),
    "30 days": timedelta(days=30),
    "90 days": timedelta(days=90),
    "unlimited": None,
}

# The scopes are named after the functions of the API that they open.
TYPES: dict[str, list[str]] = {
    "read-only": ["articles:find", "articles:findOne"],
    "full-access": ["articles:*"],
}

LISTED = [token_pb2.TOKEN_STATE_ACTIVE, token_pb2.TOKEN_STATE_EXPIRED]
INITIATOR = "administrator"


class Verdict(Enum):
    """What a presented token is worth for one function of the API."""

    ALLOWED = "allowed"
    INVALID = "invalid"
    INSUFFICIENT = "insufficient"


VERDICTS = {
    rpc.DECISION_ALLOW: Verdict.ALLOWED,
    rpc.DECISION_DENY_INACTIVE: Verdict.INVALID,
    rpc.DECISION_DENY_SCOPE: Verdict.INSUFFICIENT,
}


@dataclass(frozen=True)
class ApiToken:
    """A token as administrators see it; never its secret."""

    id: str
    name: str
    description: str
    type: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    expired: bool
    obfuscated_secret: str
    etag: str


@dataclass(frozen=True)
class Issued:
    """A token with its new secret, which nobody can read again."""

    token: ApiToken
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Page:
    """Tokens, newest first, and what asks for the next page; empty on the last."""

    tokens: list[ApiToken]
    next: str


class ApiTokens:
    """Creates, lists, edits, regenerates, deletes and judges the tokens of one workspace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rpc = connection.tokens

    def create(self, name: str, description: str, type: str, duration: str) -> Issued:
        request = rpc.CreateTokenRequest(
            workspace=self._connection.workspace,
            name=name,
            description=description,
            scopes=TYPES[type],
            initiator=INITIATOR,
        )
        lifetime = DURATIONS[duration]
        if lifetime is not None:
            request.lifetime.FromTimedelta(lifetime)
        response = self._connection.call(self._rpc.CreateToken, request)
        return Issued(read(response.token), response.secret)

    def page(self, page_token: str = "") -> Page:
        request = rpc.ListTokensRequest(
            workspace=self._connection.workspace, filter=rpc.TokenFilter(states=LISTED), page_token=page_token
        )
        response = self._connection.call(self._rpc.ListTokens, request)
        return Page([read(token) for token in response.tokens], response.next_page_token)

    def get(self, id: str) -> ApiToken:
        """One token of ours. Our credential may reach into other workspaces; our administrators do not."""
        token = self._connection.call(self._rpc.GetToken, rpc.GetTokenRequest(id=id)).token
        if token.workspace != self._connection.workspace or token.state not in LISTED:
            raise NoSuchToken("a token of another workspace, or a deleted one")
        return read(token)

    def edit(self, id: str, changes: dict[str, str], etag: str) -> ApiToken:
        """Changes name, description, type and duration as far as they are given. A new duration counts from now."""
        self.get(id)
        token = token_pb2.Token(id=id, etag=etag)
        mask = FieldMask()
        for name, value in changes.items():
            path, set_field = EDITS[name]
            mask.paths.append(path)
            set_field(token, value)
        request = rpc.UpdateTokenRequest(token=token, update_mask=mask, initiator=INITIATOR)
        return read(self._connection.call(self._rpc.UpdateToken, request).token)

    def regenerate(self, id: str, etag: str) -> Issued:
        """Replaces the secret; of two who do it with the same etag only one succeeds."""
        self.get(id)
        request = rpc.RegenerateTokenRequest(id=id, etag=etag, initiator=INITIATOR)
        response = self._connection.call(self._rpc.RegenerateToken, request)
        return Issued(read(response.token), response.secret)

    def delete(self, id: str) -> None:
        self.get(id)
        request = rpc.RevokeTokenRequest(id=id, reason="deleted by an administrator", initiator=INITIATOR)
        self._connection.call(self._rpc.RevokeToken, request)

    def judge(self, presented: str, scope: str) -> Verdict:
        """Whether the presented token opens `scope`. Raises `Undecided` rather than guess."""
        request = rpc.IntrospectTokenRequest(
            token=presented, workspace=self._connection.workspace, required_scopes=[scope]
        )
        response = self._connection.call(self._rpc.IntrospectToken, request)
        verdict = VERDICTS.get(response.decision)
        if verdict is None:
            raise Undecided(f"decision {response.decision} is not known here")
        return verdict


def read(token: token_pb2.Token) -> ApiToken:
    """Translates a token from tokenkeep's words into ours."""
    return ApiToken(
        id=token.id,
        name=token.name,
        description=token.description,
        type=next((type for type, scopes in TYPES.items() if scopes == list(token.scopes)), "other"),
        created_at=moment(token.create_time),
        last_used_at=moment(token.last_use_time) if token.HasField("last_use_time") else None,
        expires_at=moment(token.expire_time) if token.HasField("expire_time") else None,
        expired=token.state == token_pb2.TOKEN_STATE_EXPIRED,
        obfuscated_secret=token.obfuscated_secret,
        etag=token.etag,
    )


def moment(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(timezone.utc)


def set_name(token: token_pb2.Token, name: str) -> None:
    token.name = name


def set_description(token: token_pb2.Token, description: str) -> None:
    token.description = description


def set_type(token: token_pb2.Token, type: str) -> None:
    token.scopes[:] = TYPES[type]


def set_duration(token: token_pb2.Token, duration: str) -> None:
    lifetime = DURATIONS[duration]
    if lifetime is not None:
        token.expire_time.FromDatetime(datetime.now(timezone.utc) + lifetime)


# For each thing that can be edited: its name in tokenkeep's update mask, and how it is set.
EDITS = {
    "name": ("name", set_name),
    "description": ("description", set_description),
    "type": ("scopes", set_type),
    "duration": ("expire_time", set_duration),
}
