"""What tokenkeep's errors mean to this backend, told by their stable reason and never by their text."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "tokenkeep"


@dataclass
class TokenkeepError(Exception):
    """A call that did not succeed: why, which fields were wrong, and how many seconds to wait before asking again."""

    message: str
    reason: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    retry_after: float = 1.0

    def __str__(self) -> str:
        return f"{self.reason or 'NO_ANSWER'}: {self.message}"


class Undecided(TokenkeepError):
    """tokenkeep did not answer the question. Nothing is known about any token, least of all that one is invalid."""


class NotGranted(Undecided):
    """tokenkeep does not serve this backend: its own credential is missing, dead, or granted too little."""


class InvalidField(TokenkeepError):
    """A field is wrong; `fields` says which and why."""


class InvalidPage(TokenkeepError):
    """The page token was not made for this list."""


class NoSuchToken(TokenkeepError):
    """There is no such token, or no longer."""


class TokenExpired(TokenkeepError):
    """The token is expired and its duration has to be renewed first."""


class ChangedMeanwhile(TokenkeepError):
    """Somebody else changed the token since it was read."""


class WorkspaceExists(TokenkeepError):
    """The workspace is there already."""


class CursorLost(TokenkeepError):
    """The history this cursor belongs to is gone: what was derived from the stream has to be dropped."""


class CursorAltered(TokenkeepError):
    """The cursor is not one that tokenkeep made."""


MEANINGS: dict[str, type[TokenkeepError]] = {
    "CREDENTIAL_MISSING": NotGranted,
    "CREDENTIAL_INVALID": NotGranted,
    "SCOPE_REQUIRED": NotGranted,
    "SCOPE_ESCALATION": NotGranted,
    "WORKSPACE_DENIED": NotGranted,
    "INVALID_FIELD": InvalidField,
    "INVALID_PAGE_TOKEN": InvalidPage,
    "TOKEN_NOT_FOUND": NoSuchToken,
    "TOKEN_REVOKED": NoSuchToken,  # What this backend calls deleted.
    "TOKEN_EXPIRED": TokenExpired,
    "ETAG_MISMATCH": ChangedMeanwhile,
    "WORKSPACE_EXISTS": WorkspaceExists,
    "CURSOR_FOREIGN": CursorLost,
    "CURSOR_AHEAD": CursorLost,
    "INVALID_CURSOR": CursorAltered,
}


def meaning_of(error: grpc.RpcError) -> TokenkeepError:
    """The meaning of a failed call. A reason that is not listed, or none at all, is not a verdict: `Undecided`."""
    info, wrong, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in details_of(error):
        _ = detail.Unpack(info) or detail.Unpack(wrong) or detail.Unpack(retry)
    reason = info.reason if info.domain == DOMAIN else ""
    fields = tuple((violation.field, violation.description) for violation in wrong.field_violations)
    delay = max(retry.retry_delay.ToTimedelta().total_seconds(), 1.0)
    return MEANINGS.get(reason, Undecided)(error.details() or error.code().name, reason, fields, delay)


def details_of(error: grpc.RpcError) -> list:
    """The rich details of a failed call; none if it failed before any server answered it."""
    try:
        status = rpc_status.from_call(error) or status_pb2.Status()
    except ValueError:  # The details contradict the status they came with.
        return []
    return list(status.details)
