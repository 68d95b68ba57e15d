"""What the documents say that no token service can keep, and why."""

from __future__ import annotations

THE_PRODUCTS_PAGES = "the product's own pages; what they show and send is tested above"
THE_CLIENTS_CARE = "how a client keeps its token is up to the client"

BEYOND: dict[str, list[tuple[str, str]]] = {
    "select-star": [
        ("where to click: Account Settings, `Manage API Tokens`, the modal, `Create`", THE_PRODUCTS_PAGES),
        ("the screenshots", THE_PRODUCTS_PAGES),
        ("`https://api.production.selectstar.com` and its tables", "the product's own host and data"),
    ],
    "undb": [
        ("where to click: the settings of a space, the section API Token", THE_PRODUCTS_PAGES),
        ("securely store the token", THE_CLIENTS_CARE),
        ("reading and writing tables through the OpenAPI", "the product's own API, behind the edge"),
    ],
    "coolset": [
        ("log in, and where to click: Settings → API Tokens, Generate New Token, Revoke", THE_PRODUCTS_PAGES),
        ("treat tokens like passwords; never share, commit, hardcode or expose them", THE_CLIENTS_CARE),
        ("store tokens in environment variables; never log them", THE_CLIENTS_CARE + "; that we log none is tested"),
        ("use HTTPS for all requests", "the listener of the proxy in front decides it"),
        ("switch companies in the UI, or by `/accounts/workspaces/`", "the product's own page and endpoint"),
        ("the links to further pages", "documentation"),
    ],
    "strapi": [
        ("a free feature, activated by default, in development and in production", "the product's own offer"),
        ("the icons, the screenshots, the copy button, the dialog that confirms", THE_PRODUCTS_PAGES),
        ("a page hides the token when it is refreshed", "the page forgets it; that it cannot be read again is tested"),
        (
            "the salt is customized in `./config/admin.js` or as `API_TOKEN_SALT`",
            "the product's configuration; nobody keeps a salt here, and `InvalidateWorkspaceTokens` is its change",
        ),
        ("which content-types there are", "the product's own; their scopes are what the profile's catalogue allows"),
        (
            "what a GraphQL query touches",
            "it stands in the body, which the edge does not read; the product is told the scopes",
        ),
    ],
    "qualytics": [
        ("steps 1 to 3, 5 and 7: where to click, and closing the modal", THE_PRODUCTS_PAGES),
        ("the screenshots", THE_PRODUCTS_PAGES),
        ("keep the token confidential, in a password manager or a vault", THE_CLIENTS_CARE),
        (
            "the example token is a JWT",
            "ours are opaque, which only matters to a client that takes its token apart",
        ),
        ("what `/api/datastores` answers", "the product's own API, behind the edge"),
    ],
}
