"""Creates, judges, revokes and watches API tokens, from a shell."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import grpc
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from client import CHANNEL_OPTIONS, Failure, TokenClient
from tokenkeep.v1 import revocation_pb2 as revocation
from tokenkeep.v1 import token_service_pb2 as rpc

ALLOWED, NO_ANSWER, NOT_ALLOWED = 0, 1, 3  # Exit codes. A program that crashes ends with 1, which must be no verdict.

# The history that a cursor belongs to is gone: whatever was derived from the stream has to be verified anew.
HISTORY_LOST = {"REVISION_COMPACTED", "CURSOR_FOREIGN", "CURSOR_AHEAD"}


async def introspect(client: TokenClient, presented: str, required_scopes: list[str]) -> int:
    try:
        verdict = await client.introspect(presented, required_scopes)
    except Failure as failure:
        # Nobody is let in, and nobody is told that their token is invalid.
        print("cannot decide:", failure, file=sys.stderr)
        return NO_ANSWER
    if not verdict.active:
        print("inactive", name(rpc.InactiveReason, verdict.inactive_reason))
        return NOT_ALLOWED
    if verdict.decision != rpc.DECISION_ALLOW:
        print("lacks", *verdict.missing_scopes)
        return NOT_ALLOWED
    print("active", verdict.jti, verdict.scope)
    return ALLOWED


async def watch(client: TokenClient, cursor_file: Path) -> None:
    """Prints each revocation, then keeps its cursor. Killed between the two, it prints the revision again; whoever
    must not have that keeps the cursor in one transaction with what is done about the revocation."""
    cursor = cursor_file.read_text() if cursor_file.exists() else ""
    while True:
        try:
            async for frame in client.watch(cursor):
                if frame.HasField("event"):
                    print(frame.revision, described(frame.event), flush=True)
                keep(cursor_file, frame.cursor)
        except Failure as failure:
            if failure.reason not in HISTORY_LOST:
                raise
            print("lost", failure, flush=True)
            cursor = ""


def described(event: revocation.RevocationEvent) -> str:
    concerned = event.token_id or ",".join(event.token_ids) or event.principal or event.workspace or "*"
    return f"{name(revocation.RevocationKind, event.kind)} {concerned} {event.reason}".rstrip()


def name(enumeration: EnumTypeWrapper, number: int) -> str:
    """The name of a value; the number of one that is newer than this program."""
    return enumeration.Name(number).split("_", 2)[2] if number in enumeration.values() else str(number)


def keep(cursor_file: Path, cursor: str) -> None:
    """Replaces the file in one step: a crash leaves the old cursor or the new one."""
    beside = cursor_file.with_name(f"{cursor_file.name}.new")
    beside.write_text(cursor)
    beside.replace(cursor_file)


def credential() -> str:
    """Our own token. It is never an argument: everybody on the machine can read those."""
    if path := os.environ.get("TOKENKEEP_CREDENTIAL_FILE"):
        return Path(path).read_text().strip()
    if token := os.environ.get("TOKENKEEP_CREDENTIAL"):
        return token.strip()
    raise SystemExit("set TOKENKEEP_CREDENTIAL_FILE or TOKENKEEP_CREDENTIAL")


def open_channel() -> grpc.aio.Channel:
    """TLS to an `https` address, verified by the CA if one is set; else plaintext, which is fit for loopback only."""
    scheme, _, address = os.environ.get("TOKENKEEP_SERVER", "http://127.0.0.1:50051").partition("://")
    if scheme != "https":
        return grpc.aio.insecure_channel(address, CHANNEL_OPTIONS)
    ca_file = os.environ.get("TOKENKEEP_SERVER_CA")
    credentials = grpc.ssl_channel_credentials(Path(ca_file).read_bytes() if ca_file else None)
    return grpc.aio.secure_channel(address, credentials, CHANNEL_OPTIONS)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="prints a new token's id and secret")
    create.add_argument("name")
    create.add_argument("scopes", nargs="*")
    introspect = commands.add_parser("introspect", help="judges the token on standard input")
    introspect.add_argument("required_scopes", nargs="*")
    revoke = commands.add_parser("revoke", help="ends a token for good")
    revoke.add_argument("id")
    revoke.add_argument("reason")
    watch = commands.add_parser("watch", help="prints revocations, and goes on where it was")
    watch.add_argument("cursor_file", type=Path)
    return parser.parse_args()


async def main() -> int:
    arguments = parsed()
    async with open_channel() as channel:
        client = TokenClient(channel, credential, os.environ.get("TOKENKEEP_WORKSPACE", "acme"))
        try:
            match arguments.command:
                case "create":
                    created = await client.create(arguments.name, arguments.scopes)
                    print(created.token.id, created.secret)
                case "introspect":
                    return await introspect(client, sys.stdin.readline().strip(), arguments.required_scopes)
                case "revoke":
                    revoked = await client.revoke(arguments.id, arguments.reason)
                    print("revoked", revoked.token.id)
                case "watch":
                    await watch(client, arguments.cursor_file)
        except Failure as failure:
            print("failed:", failure, file=sys.stderr)
            return NO_ANSWER
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main()))
