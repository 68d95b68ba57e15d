"""What the document of Qualytics says of its tokens."""

from __future__ import annotations

import uuid

from examples import run_example
from moments import DAY, days_between
from products import QUALYTICS as PRODUCT
from promises import promise
from reflected import refusal
from stage import Stage

NAME = PRODUCT.name
SERVICE, PERSON = "PRINCIPAL_KIND_SERVICE_ACCOUNT", "PRINCIPAL_KIND_USER"
EXPIRATIONS = {"30 Days": 30, "1 Year": 365}
SCIM = {"audiences": ["scim"]}


@promise(NAME, "Q1", "tokens are generated when a Service Account is created")
def a_service_account_is_born_with_its_token(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    id = f"svc-{uuid.uuid4()}"
    principal = {"workspace": door.workspace, "id": id, "kind": SERVICE, "name": "Etl", "scopes": ["*"]}
    token = {**PRODUCT.asks}
    response = stage.api.principals.call("CreatePrincipal", principal=principal, token=token)
    stage.api.issued.append(response["secret"])
    assert response["token"]["principal"] == id
    assert door.assert_lets_in(response["secret"])["x-tokenkeep-principal"] == id


@promise(NAME, "Q1", "essential for automated systems: the account, not a person, is who acts")
def a_service_account_that_is_disabled_takes_its_tokens_along_and_back(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    account = stage.api.principal(door.workspace, SERVICE)
    secret = door.token(principal=account).secret
    door.assert_lets_in(secret)
    stage.api.change_principal(door.workspace, account, disabled=True)
    door.ask(secret).assert_is(PRODUCT.invalid)
    stage.api.change_principal(door.workspace, account, disabled=False)
    door.assert_lets_in(secret)


@promise(NAME, "Q1", "or manually")
def a_further_token_of_a_service_account_can_be_generated(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    first, second = door.token(), door.token()
    assert first.token["principal"] == second.token["principal"]
    door.assert_lets_in(first.secret)
    door.assert_lets_in(second.secret)


@promise(NAME, "Q2", "Name, required: a descriptive name")
def a_token_without_a_name_is_refused(stage: Stage) -> None:
    assert refusal(lambda: stage.door(PRODUCT).token(name=None)).fields == ["name"]


@promise(NAME, "Q2", "Type, required: Service, for a service account")
def a_token_without_a_type_is_refused(stage: Stage) -> None:
    assert refusal(lambda: stage.door(PRODUCT).token(type=None)).reason == "PROFILE_FORBIDS"


@promise(NAME, "Q2", "Type, required: Service, for a service account")
def service_is_the_only_type(stage: Stage) -> None:
    choices = stage.api.profile(stage.door(PRODUCT).workspace)["types"]
    assert [choice["label"] for choice in choices] == ["Service"]
    refused = refusal(lambda: stage.door(PRODUCT).token(type="TOKEN_TYPE_READ_ONLY"))
    assert (refused.reason, refused.fields) == ("PROFILE_FORBIDS", ["type"])


@promise(NAME, "Q2", "Type, required: Service, for a service account")
def a_token_of_a_person_is_refused(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    person = stage.api.principal(door.workspace, PERSON)
    refused = refusal(lambda: door.token(principal=person))
    assert (refused.reason, refused.fields) == ("PROFILE_FORBIDS", ["principal"])


@promise(NAME, "Q2", "Service User, required: whom the token is for")
def a_token_without_a_service_user_is_refused(stage: Stage) -> None:
    refused = refusal(lambda: stage.door(PRODUCT).token(principal=None))
    assert (refused.reason, refused.fields) == ("PROFILE_FORBIDS", ["principal"])


@promise(NAME, "Q2", "Service User, required: whom the token is for")
def a_service_user_who_does_not_exist_is_refused(stage: Stage) -> None:
    refused = refusal(lambda: stage.door(PRODUCT).token(principal="nobody"))
    assert refused.reason == "PRINCIPAL_NOT_FOUND"


@promise(NAME, "Q2", "Service User: select the service user")
def the_service_users_to_choose_from_can_be_listed(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    service, person = (stage.api.principal(door.workspace, kind) for kind in (SERVICE, PERSON))
    listed = stage.api.principals.call("ListPrincipals", workspace=door.workspace, kind=SERVICE, page_size=1000)
    told = [principal["id"] for principal in listed["principals"]]
    assert service in told and person not in told


@promise(NAME, "Q2", "Name, Type, Service User and Expiration are required")
def the_required_fields_can_be_rendered(stage: Stage) -> None:
    profile = stage.api.profile(stage.door(PRODUCT).workspace)
    assert sorted(profile["required_fields"]) == ["expiration", "name", "principal", "type"]


@promise(NAME, "Q2", "Expiration, required: like 30 Days, 1 Year, Never")
def a_token_expires_as_was_chosen(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    for days in EXPIRATIONS.values():
        token = door.token(never_expires=None, lifetime=f"{days * DAY}s").token
        assert days_between(token["create_time"], token["expire_time"]) == days
    assert "expire_time" not in door.token().token


@promise(NAME, "Q2", "Expiration, required: like 30 Days, 1 Year, Never")
def a_token_without_an_expiration_is_refused(stage: Stage) -> None:
    assert refusal(lambda: stage.door(PRODUCT).token(never_expires=None)).reason == "PROFILE_FORBIDS"


@promise(NAME, "Q2", "Expiration: like 30 Days, 1 Year, Never")
def the_expirations_can_be_rendered(stage: Stage) -> None:
    choices = stage.api.profile(stage.door(PRODUCT).workspace)["lifetimes"]
    told = {choice["label"]: choice.get("lifetime") for choice in choices}
    assert told == {**{label: f"{days * DAY}s" for label, days in EXPIRATIONS.items()}, "Never": None}


@promise(NAME, "Q2", "SCIM Administration Token: restricted to SCIM endpoints only")
def a_scim_token_works_at_scim_endpoints(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    door.assert_lets_in(door.token(**SCIM).secret, "GET", "/scim/v2/Users")


@promise(NAME, "Q2", "SCIM Administration Token: restricted to SCIM endpoints only")
def a_scim_token_is_refused_everywhere_else(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    secret = door.token(**SCIM).secret
    for path in ("/api/datastores", "/user-tokens", "/"):
        door.ask(secret, "GET", path).assert_is(PRODUCT.invalid)


@promise(NAME, "", "whether other tokens work at SCIM endpoints is not said")
def a_token_that_is_not_for_scim_works_at_scim_endpoints_too(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    door.assert_lets_in(door.token().secret, "GET", "/scim/v2/Users")


@promise(NAME, "Q2", "SCIM Administration Token: a box to check")
def the_box_can_be_rendered(stage: Stage) -> None:
    choices = stage.api.profile(stage.door(PRODUCT).workspace)["audiences"]
    assert choices == [{"audience": "scim", "label": "SCIM Administration Token"}]


@promise(NAME, "Q2", "SCIM is the one restriction to choose")
def a_restriction_that_the_product_does_not_know_is_refused(stage: Stage) -> None:
    refused = refusal(lambda: stage.door(PRODUCT).token(audiences=["scmi"]))
    assert (refused.reason, refused.fields) == ("PROFILE_FORBIDS", ["audiences[0]"])


@promise(NAME, "Q5", "the header is `Authorization: Bearer …`, the example in curl")
def the_curl_example_succeeds(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    token = ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...", door.token().secret)
    reached = run_example(stage, door, "curl", "https://acme.qualytics.io", token)
    assert (reached.method, reached.path) == ("GET", "/api/datastores")


@promise(NAME, "Q5", "the example in Python")
def the_python_example_succeeds(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    token = ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...", door.token().secret)
    reached = run_example(stage, door, "python", "https://acme.qualytics.io", token)
    assert (reached.method, reached.path) == ("GET", "/api/datastores")


@promise(NAME, "", "what a token may not do is not spoken of")
def a_token_whose_service_user_lacks_the_permission_is_told_so(stage: Stage) -> None:
    door = stage.door(PRODUCT)
    reader = stage.api.principal(door.workspace, SERVICE, ["datastores:read"])
    secret = door.token(principal=reader).secret
    door.assert_lets_in(secret)
    door.ask(secret, "GET", "/api/admin/users").assert_is(PRODUCT.forbidden)
