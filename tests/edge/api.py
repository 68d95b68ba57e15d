"""tokenkeep's API as a product's own backend calls it, known through server reflection."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from products import Json, Product
from reflected import Service

EVERYTHING = ["*"]


@dataclass(frozen=True)
class Issued:
    """A token with its secret. A failing test does not print the secret."""

    token: Json
    secret: str = field(repr=False)

    @property
    def id(self) -> str:
        return self.token["id"]

    @property
    def proper(self) -> str:
        return proper(self.secret)


class Api:
    """The services, and what most tests do with them. Every change is waited for until all caches have applied it."""

    def __init__(self, address: str, credential: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self._channel))
        self.issued: list[str] = []
        self.tokens, self.workspaces, self.principals = self.services_for(credential)

    def services_for(self, credential: str | None) -> tuple[Service, Service, Service]:
        """Tokens, workspaces and principals, as the holder of that credential calls them."""
        names = ("TokenService", "WorkspaceService", "PrincipalService")
        descriptors = (self._pool.FindServiceByName(f"tokenkeep.v1.{name}") for name in names)
        tokens, workspaces, principals = (Service(self._channel, found, credential) for found in descriptors)
        return tokens, workspaces, principals

    def close(self) -> None:
        self._channel.close()

    def create(self, **wanted: Any) -> Issued:
        return self._kept(self.tokens.call("CreateToken", **wanted))

    def get(self, token: Issued) -> Json:
        return self.tokens.call("GetToken", id=token.id)["token"]

    def listed(self, workspace: str, **wanted: Any) -> dict[str, Json]:
        """The tokens of a workspace by id."""
        listed = self.tokens.call("ListTokens", workspace=workspace, page_size=1000, filter=wanted)
        return {token["id"]: token for token in listed.get("tokens", [])}

    def paged(self, workspace: str, page_size: int) -> list[str]:
        """The ids of the tokens of a workspace, as pages of that size give them."""
        ids, page = [], {"next_page_token": ""}
        while ids == [] or page.get("next_page_token"):
            wanted = {"page_size": page_size, "page_token": page["next_page_token"]}
            page = self.tokens.call("ListTokens", workspace=workspace, **wanted)
            ids += [token["id"] for token in page["tokens"]]
        return ids

    def update(self, token: Issued, **changes: Any) -> Json:
        mask = ",".join(camel(name) for name in changes)
        response = self.tokens.call("UpdateToken", token={"id": token.id, **changes}, update_mask=mask)
        self.settle(response["token"])
        return response["token"]

    def regenerate(self, token: Issued, **wanted: Any) -> Issued:
        wanted = {"etag": "*", **wanted}
        regenerated = self._kept(self.tokens.call("RegenerateToken", id=token.id, **wanted))
        self.settle(regenerated.token)
        return regenerated

    def revoke(self, token: Issued, reason: str = "a test") -> Json:
        """Revokes, and returns when no cache accepts the token any more."""
        response = self.tokens.call("RevokeToken", id=token.id, reason=reason, wait="REVOCATION_WAIT_FLEET")
        assert response["fleet_confirmed"]
        return response["token"]

    def principal(self, workspace: str, kind: str, scopes: list[str] | None = None, **wanted: Any) -> str:
        """A new principal that may do everything unless told otherwise; answers its id."""
        name = wanted.pop("name", "Somebody")
        wanted = {"id": f"p-{uuid.uuid4()}", "kind": kind, "scopes": scopes or EVERYTHING, "name": name, **wanted}
        self.principals.call("CreatePrincipal", principal={"workspace": workspace, **wanted})
        return wanted["id"]

    def change_principal(self, workspace: str, id: str, **changes: Any) -> Json:
        response = self.principals.call(
            "UpdatePrincipal",
            principal={"workspace": workspace, "id": id, **changes},
            update_mask=",".join(camel(name) for name in changes),
            wait="REVOCATION_WAIT_FLEET",
        )
        assert response["fleet_confirmed"]
        return response["principal"]

    def delete_principal(self, workspace: str, id: str, **tokens: str) -> Json:
        """Ends a principal; what becomes of its tokens is said as the request says it."""
        response = self.principals.call(
            "DeletePrincipal", workspace=workspace, id=id, wait="REVOCATION_WAIT_FLEET", **tokens
        )
        assert response["fleet_confirmed"]
        return response

    def invalidate(self, workspace: str, **wanted: Any) -> Json:
        """Kills all secrets of a workspace."""
        wanted = {"id": workspace, "reason": "a new salt", "wait": "REVOCATION_WAIT_FLEET", **wanted}
        return self.workspaces.call("InvalidateWorkspaceTokens", **wanted)

    def set_profile(self, workspace: str, profile: str) -> None:
        """Gives the workspace a profile, or none; tokens that are there stay."""
        workspace_wanted = {"id": workspace, "profile": profile}
        response = self.workspaces.call("UpdateWorkspace", workspace=workspace_wanted, update_mask="profile")
        self.settle(response["workspace"])

    def settle(self, changed: Json) -> None:
        """Waits until no cache answers from before the revision that a change was answered with."""
        if int(changed.get("revision", 0)):
            told = self.tokens.call("WaitForRevision", revision=changed["revision"])
            assert told["fleet_confirmed"]

    def profile(self, workspace: str) -> Json:
        return self.workspaces.call("GetWorkspaceProfile", id=workspace)["profile"]

    def add_workspace(self, product: Product, workspace: str) -> None:
        wanted = {"id": workspace, "name": f"{product.title} {workspace}", "profile": product.name}
        if product.prefix:
            wanted["token_prefix"] = product.prefix
        self.workspaces.call("CreateWorkspace", workspace=wanted)

    def _kept(self, response: Json) -> Issued:
        self.issued.append(response["secret"])
        return Issued(response["token"], response["secret"])


def proper(secret: str) -> str:
    """The 43 characters that are the secret itself, without the prefix, the id and the checksum."""
    return secret[-60:-17]


def camel(name: str) -> str:
    """A field's name as a field mask in JSON has it."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
