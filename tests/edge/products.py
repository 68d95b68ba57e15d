"""The five products: how each presents tokens, what its routes ask for, and what it answers to whom it refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Route:
    """What a part of a product's API wants of a token; the first match counts."""

    prefix: str = "/"
    method: str = ""
    scopes: str = ""
    audience: str = ""


@dataclass(frozen=True)
class Denial:
    """An answer to a request that does not come through: status, headers, and body as JSON."""

    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


@dataclass(frozen=True)
class Product:
    """One document's product. `asks` is what its page fills in of CreateTokenRequest beside workspace and principal."""

    name: str
    title: str
    noun: str
    header: str
    scheme: str
    path: str
    routes: list[Route]
    missing: Denial
    invalid: Denial
    forbidden: Denial
    asks: Json
    owner_kind: str = ""
    prefix: str = ""

    def presented(self, secret: str) -> dict[str, str]:
        """The header that a client sends."""
        return {self.header: f"{self.scheme} {secret}" if self.scheme else secret}


def detail(text: str) -> Json:
    return {"detail": text}


def of_json(challenge: str) -> dict[str, str]:
    """The headers of a JSON body with a challenge."""
    return {"content-type": "application/json", "www-authenticate": challenge}


def strapi_error(status: int, name: str, message: str) -> Json:
    return {"data": None, "error": {"status": status, "name": name, "message": message, "details": {}}}


BEARER = of_json('Bearer realm="api"')

SELECT_STAR = Product(
    name="select-star",
    title="Select Star",
    noun="account",
    header="Authorization",
    scheme="Token",
    path="/v1/tables/",
    routes=[Route()],
    missing=Denial(401, detail("Authentication credentials were not provided."), of_json('Token realm="api"')),
    invalid=Denial(
        401,
        {
            "detail": "Given token not valid for any token type",
            "code": "token_not_valid",
            "messages": [
                {"token_class": "AccessToken", "token_type": "access", "message": "Token is invalid or expired"}
            ],
        },
        of_json('Token realm="api"'),
    ),
    forbidden=Denial(403, detail("You do not have permission to perform this action.")),
    asks={"name": "API Token"},
)

UNDB = Product(
    name="undb",
    title="undb",
    noun="space",
    header="x-undb-api-token",
    scheme="",
    path="/api/bases/crm/tables/leads",
    routes=[Route()],
    # The document is silent on all three.
    missing=Denial(401, {"error": "The header x-undb-api-token is missing."}, of_json('ApiToken realm="undb"')),
    invalid=Denial(401, {"error": "The API token is not valid."}, of_json('ApiToken realm="undb"')),
    forbidden=Denial(403, {"error": "The API token does not allow this."}),
    asks={"name": "a token of the space"},
)

COOLSET = Product(
    name="coolset",
    title="Coolset",
    noun="company",
    header="Authorization",
    scheme="Bearer",
    path="/api/orders/",
    routes=[
        Route("/api/accounts/users/", scopes="users:manage"),
        Route(method="GET", scopes="read"),
        Route(method="POST", scopes="write"),
        Route(method="PUT", scopes="write"),
        Route(method="PATCH", scopes="write"),
        Route(method="DELETE", scopes="delete"),
    ],
    missing=Denial(401, detail("Authentication credentials were not provided."), BEARER),
    invalid=Denial(401, detail("Authentication credentials were not provided."), BEARER),
    forbidden=Denial(403, detail("You do not have permission to perform this action.")),
    asks={"name": "an integration", "scopes": ["read", "write"]},
    owner_kind="PRINCIPAL_KIND_USER",
    prefix="sk_live",
)

STRAPI = Product(
    name="strapi",
    title="Strapi",
    noun="project",
    header="Authorization",
    scheme="bearer",
    path="/api/articles",
    routes=[
        Route("/graphql"),
        Route("/api/articles/", "GET", scopes="findOne:article"),
        Route("/api/articles", "GET", scopes="find:article"),
        Route("/api/articles", "POST", scopes="create:article"),
        Route("/api/articles", "PUT", scopes="update:article"),
        Route("/api/articles", "DELETE", scopes="delete:article"),
        Route("/api/restaurants", "GET", scopes="find:restaurant"),
    ],
    # The document is silent on all three.
    missing=Denial(401, strapi_error(401, "UnauthorizedError", "Missing or invalid credentials"), BEARER),
    invalid=Denial(401, strapi_error(401, "UnauthorizedError", "Missing or invalid credentials"), BEARER),
    forbidden=Denial(403, strapi_error(403, "ForbiddenError", "Forbidden")),
    asks={"name": "a website", "type": "TOKEN_TYPE_FULL_ACCESS", "never_expires": True},
)

QUALYTICS = Product(
    name="qualytics",
    title="Qualytics",
    noun="instance",
    header="Authorization",
    scheme="Bearer",
    path="/api/datastores",
    routes=[Route("/scim/v2", audience="scim"), Route("/api/admin", scopes="admin"), Route()],
    # The document is silent on all three.
    missing=Denial(401, detail("Not authenticated"), BEARER),
    invalid=Denial(401, detail("Invalid token"), BEARER),
    forbidden=Denial(403, detail("Not enough permissions")),
    asks={"name": "svc-token-prod", "type": "TOKEN_TYPE_FULL_ACCESS", "never_expires": True},
    owner_kind="PRINCIPAL_KIND_SERVICE_ACCOUNT",
)

PRODUCTS = {product.name: product for product in (SELECT_STAR, UNDB, COOLSET, STRAPI, QUALYTICS)}
