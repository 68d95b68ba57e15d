"""What the document of Coolset says of using its tokens."""

from __future__ import annotations

from examples import block, header, run_example
from products import COOLSET as PRODUCT
from promises import promise
from reflected import refusal
from stage import Stage

NAME = PRODUCT.name
READ, WRITE, ADMIN = ["read"], ["write"], ["*"]
USER = "PRINCIPAL_KIND_USER"


@promise(NAME, "C1", "the header is `Authorization: Bearer YOUR_API_TOKEN`")
def the_token_follows_the_word_bearer_in_the_authorization_header(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    assert door.send(header(NAME, "YOUR_API_TOKEN", door.token().secret)).status == 200


@promise(NAME, "C1", "tokens look like `sk_live_1234567890abcdef`")
def a_token_begins_with_sk_live(stage: Stage) -> None:
    assert stage.door(PRODUCT).token().secret.startswith("sk_live_")


@promise(NAME, "C1", "the example in curl")
def the_curl_example_succeeds(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    token = ("sk_live_1234567890abcdef", door.token().secret)
    reached = run_example(stage, door, "curl", "https://developers.coolset.com", token)
    assert (reached.method, reached.path) == ("GET", "/api/accounts/user-config/")


@promise(NAME, "C1", "the example in JavaScript")
def the_javascript_example_succeeds(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    token = ("YOUR_API_TOKEN", door.token().secret)
    reached = run_example(stage, door, "javascript", "https://developers-scranton.coolset.com", token)
    assert (reached.method, reached.path) == ("GET", "/api/orders/")


@promise(NAME, "C1", "the example in Python")
def the_python_example_succeeds(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    token = ("YOUR_API_TOKEN", door.token().secret)
    reached = run_example(stage, door, "python", "https://developers-scranton.coolset.com", token)
    assert (reached.method, reached.path) == ("GET", "/api/orders/")


@promise(NAME, "C1", "use separate tokens for development and production")
def development_and_production_tokens_begin_differently(stage: Stage) -> None:
    prefixes = [choice["prefix"] for choice in stage.api.profile(stage.door(PRODUCT).workspace)["prefixes"]]
    assert "sk_live" in prefixes and len(set(prefixes)) == 2, prefixes
    workspace = {"id": f"coolset-dev-{stage.way}", "name": "Development", "profile": NAME}
    (development,) = set(prefixes) - {"sk_live"}
    stage.api.workspaces.call("CreateWorkspace", workspace={**workspace, "token_prefix": development})
    owner = stage.api.principal(workspace["id"], USER)
    issued = stage.api.create(workspace=workspace["id"], name="dev", scopes=READ, principal=owner)
    assert issued.secret.startswith(f"{development}_")
    stage.door(PRODUCT).ask(issued.secret).assert_is(PRODUCT.invalid)


@promise(NAME, "C1", "use separate tokens for development and production")
def a_prefix_that_the_product_does_not_know_is_refused(stage: Stage) -> None:
    workspace = {"id": f"coolset-bad-{stage.way}", "name": "Other", "profile": NAME, "token_prefix": "other"}
    refused = refusal(lambda: stage.api.workspaces.call("CreateWorkspace", workspace=workspace))
    assert refused.reason == "PROFILE_FORBIDS"


@promise(NAME, "C2", "Read: view data across all endpoints")
def read_lets_view_data(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token(scopes=READ).secret
    for path in ("/api/orders/", "/api/suppliers/", "/api/accounts/user-config/"):
        door.assert_lets_in(secret, "GET", path)


@promise(NAME, "C2", "Read: view data across all endpoints")
def read_does_not_let_write(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token(scopes=READ).secret
    for method in ("POST", "PUT", "PATCH"):
        door.ask(secret, method).assert_is(PRODUCT.forbidden)


@promise(NAME, "C2", "Write: create and update resources")
def write_lets_create_and_update(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token(scopes=WRITE).secret
    for method in ("POST", "PUT", "PATCH"):
        door.assert_lets_in(secret, method)


@promise(NAME, "C2", "Write: create and update resources")
def write_does_not_let_delete_or_manage_users(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token(scopes=WRITE).secret
    door.ask(secret, "DELETE").assert_is(PRODUCT.forbidden)
    door.ask(secret, "POST", "/api/accounts/users/").assert_is(PRODUCT.forbidden)


@promise(NAME, "", "whether Write includes Read is not said")
def write_alone_does_not_let_read(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    door.ask(door.token(scopes=WRITE).secret).assert_is(PRODUCT.forbidden)


@promise(NAME, "C2", "Admin: full access including user management")
def admin_lets_do_everything(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token(scopes=ADMIN).secret
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        door.assert_lets_in(secret, method)
        door.assert_lets_in(secret, method, "/api/accounts/users/")


@promise(NAME, "C2", "the scopes are Read, Write and Admin")
def a_scope_that_is_not_in_the_table_is_refused(stage: Stage) -> None:
    refused = refusal(lambda: stage.door(PRODUCT).token(scopes=["raed"]))
    assert (refused.reason, refused.fields) == ("PROFILE_FORBIDS", ["scopes"]), refused


@promise(NAME, "C2", "the table of scopes and what they allow")
def the_table_of_scopes_can_be_rendered(stage: Stage) -> None:
    profile = stage.api.profile(stage.door(PRODUCT).workspace)
    assert [choice["label"] for choice in profile["scopes"]] == ["Read", "Write", "Admin"]
    assert all(choice["description"] for choice in profile["scopes"])


@promise(NAME, "C3", "tokens inherit the permissions of the user who created them")
def a_token_can_do_no_more_than_its_user(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    reader = stage.api.principal(door.workspace, USER, READ)
    secret = door.token(principal=reader, scopes=READ + WRITE).secret
    door.assert_lets_in(secret)
    door.ask(secret, "POST").assert_is(PRODUCT.forbidden)


@promise(NAME, "C3", "tokens inherit the permissions of the user who created them")
def a_user_who_loses_a_permission_takes_it_from_the_token_at_once(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    user = stage.api.principal(door.workspace, USER, READ + WRITE)
    secret = door.token(principal=user).secret
    door.assert_lets_in(secret, "POST")
    stage.api.change_principal(door.workspace, user, scopes=READ)
    door.ask(secret, "POST").assert_is(PRODUCT.forbidden)
    door.assert_lets_in(secret)


@promise(NAME, "C3", "tokens inherit the permissions of the user who created them")
def a_user_who_is_disabled_takes_the_token_along_and_back(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    user = stage.api.principal(door.workspace, USER)
    secret = door.token(principal=user).secret
    door.assert_lets_in(secret)
    stage.api.change_principal(door.workspace, user, disabled=True)
    door.ask(secret).assert_is(PRODUCT.invalid)
    stage.api.change_principal(door.workspace, user, disabled=False)
    door.assert_lets_in(secret)


@promise(NAME, "C3", "tokens inherit the permissions of the user who created them")
def a_user_who_is_gone_takes_the_token_along(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    user = stage.api.principal(door.workspace, USER)
    issued = door.token(principal=user)
    door.assert_lets_in(issued.secret)
    gone = stage.api.delete_principal(door.workspace, user, revoke_reason="has left")
    assert gone["token_count"] == "1"
    door.ask(issued.secret).assert_is(PRODUCT.invalid)
    assert stage.api.get(issued)["state"] == "TOKEN_STATE_REVOKED"


@promise(NAME, "C3", "the API token has the access it was given, of its user's")
def a_user_who_gains_a_permission_does_not_widen_the_token(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    user = stage.api.principal(door.workspace, USER, READ)
    secret = door.token(principal=user, scopes=READ).secret
    stage.api.change_principal(door.workspace, user, scopes=["*"])
    door.ask(secret, "POST").assert_is(PRODUCT.forbidden)


@promise(NAME, "C4", "each token is associated with a specific company")
def a_token_of_one_company_is_not_valid_in_another(stage: Stage) -> None:
    secret = stage.door(PRODUCT).token().secret
    stage.other_door(PRODUCT).ask(secret).assert_is(PRODUCT.invalid)


@promise(NAME, "C4", "the context is the token's company")
def the_product_is_told_the_company_of_the_token(stage: Stage) -> None:
    for door in (stage.door(PRODUCT), stage.other_door(PRODUCT)):
        assert door.assert_lets_in(door.token().secret)["x-tokenkeep-workspace"] == door.workspace


@promise(NAME, "C7", "verify that the token is properly formatted")
def a_token_that_was_mangled_is_refused_like_a_missing_one(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token().secret
    for mangled in (secret[:-1], secret + "x", secret.upper(), f"{secret} {secret}"):
        door.ask(mangled).assert_is(PRODUCT.invalid)


@promise(NAME, "C7", "401 Unauthorized, for a missing or invalid token, and its body")
def the_answer_to_a_missing_or_invalid_token_is_the_documents_to_the_byte(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    for answer in (door.send({}), door.ask("nonsense")):
        assert (answer.status, answer.phrase) == (401, "Unauthorized")
        assert answer.body == block(NAME, "missing or invalid").rstrip("\n"), answer.body


@promise(NAME, "C8", "403 Forbidden, for insufficient permissions, and its body")
def the_answer_to_a_lack_of_permission_is_the_documents_to_the_byte(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    answer = door.ask(door.token(scopes=READ).secret, "POST")
    assert (answer.status, answer.phrase) == (403, "Forbidden")
    assert answer.body == block(NAME, "forbidden").rstrip("\n"), answer.body


@promise(NAME, "C8", "403: check the user's role and the token's permissions")
def a_live_token_without_the_permission_is_told_so(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    door.ask(door.token(scopes=READ).secret, "POST").assert_is(PRODUCT.forbidden)
