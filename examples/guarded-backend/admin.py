"""The administrators' side, twice: pages for people (a session cookie) and JSON for programs (a key in a header)."""

from __future__ import annotations

import hmac
from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, current_app, redirect, render_template, request, session, url_for
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from answers import invalid, unauthorized
from api_tokens import DURATIONS, TYPES, ApiToken, ApiTokens, Issued

pages = Blueprint("admin_pages", __name__, url_prefix="/admin")
programs = Blueprint("admin_programs", __name__, url_prefix="/admin/api-tokens")

CHOICES: dict[str, dict[str, Any]] = {"type": {**TYPES}, "duration": {**DURATIONS}}


def tokens() -> ApiTokens:
    return current_app.config["API_TOKENS"]


def is_admin_key(presented: str) -> bool:
    return hmac.compare_digest(presented.encode(), current_app.config["ADMIN_KEY"].encode())


# --- What is asked for ---------------------------------------------------------------------------------------------


def given_fields() -> dict[str, Any]:
    """The fields of the request, from a form or from JSON."""
    fields = request.form.to_dict() if request.form else request.get_json(silent=True) or {}
    if not isinstance(fields, dict):
        raise invalid("body", "an object is wanted")
    return fields


def chosen(fields: dict[str, Any], name: str) -> str:
    """One of the choices there are, exactly."""
    choices = list(CHOICES[name])
    if fields.get(name) not in choices:
        raise invalid(name, f"one of {', '.join(choices)} is wanted")
    return fields[name]


def text(fields: dict[str, Any], name: str) -> str:
    """A text; how long it may be is tokenkeep's to say."""
    if not isinstance(fields.get(name, ""), str):
        raise invalid(name, "a text is wanted")
    return fields.get(name, "")


def create_token() -> Issued:
    fields = given_fields()
    return tokens().create(
        name=text(fields, "name"),
        description=text(fields, "description"),
        type=chosen(fields, "type"),
        duration=chosen(fields, "duration"),
    )


def edit_token(id: str) -> ApiToken:
    """Edits what is given; a choice left empty stays as it is."""
    fields = given_fields()
    texts = ["name", "description"]
    changes = {name: text(fields, name) for name in texts if name in fields}
    for name in CHOICES:
        if fields.get(name) not in (None, ""):
            changes[name] = chosen(fields, name)
    return tokens().edit(id, changes, text(fields, "etag"))


def regenerate_token(id: str) -> Issued:
    return tokens().regenerate(id, text(given_fields(), "etag") or "*")


# --- Pages ---------------------------------------------------------------------------------------------------------


@pages.before_request
def admit_person() -> Response | None:
    """Keeps strangers out, and refuses forms that another site's page sent in an administrator's name."""
    origin = request.headers.get("Origin")
    if request.method == "POST" and urlsplit(origin or "").netloc != request.host:
        raise Forbidden("This form came from another site")
    if request.endpoint == "admin_pages.sign_in" or session.get("admin"):
        return None
    return redirect(url_for("admin_pages.sign_in"))


@pages.after_request
def keep_private(response: Response) -> Response:
    """Pages may show a secret: nobody stores them, and nobody else's page frames or scripts them."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; frame-ancestors 'none'"
    )
    return response


@pages.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    if request.method == "GET":
        return render_template("sign_in.html")
    if not is_admin_key(request.form.get("key", "")):
        raise Forbidden("This is not the administrators' key")
    session["admin"] = True
    return redirect(url_for("admin_pages.list_tokens"))


@pages.post("/sign-out")
def sign_out() -> Any:
    session.clear()
    return redirect(url_for("admin_pages.sign_in"))


@pages.get("/tokens")
def list_tokens() -> str:
    return render_template("tokens.html", page=tokens().page(request.args.get("page", "")))


@pages.get("/tokens/new")
def new_token() -> str:
    return render_template("new.html", choices=CHOICES)


@pages.post("/tokens")
def create_from_page() -> str:
    return show_once(create_token())


@pages.get("/tokens/<id>")
def show_token(id: str) -> str:
    return render_template("edit.html", token=tokens().get(id), choices=CHOICES)


@pages.post("/tokens/<id>")
def edit_from_page(id: str) -> Any:
    edit_token(id)
    return redirect(url_for("admin_pages.list_tokens"))


@pages.post("/tokens/<id>/regenerate")
def regenerate_from_page(id: str) -> str:
    return show_once(regenerate_token(id))


@pages.post("/tokens/<id>/delete")
def delete_from_page(id: str) -> Any:
    tokens().delete(id)
    return redirect(url_for("admin_pages.list_tokens"))


def show_once(issued: Issued) -> str:
    """The list with the new secret above it. The secret is in this answer and kept nowhere."""
    return render_template("tokens.html", page=tokens().page(), issued=issued)


# --- JSON ----------------------------------------------------------------------------------------------------------


@programs.before_request
def admit_program() -> None:
    """No cookie opens this side, so no browser can be made to use it."""
    if not is_admin_key(request.headers.get("X-Admin-Key", "")):
        raise unauthorized()


@programs.after_request
def keep_unstored(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


@programs.get("")
def page_as_json() -> dict[str, Any]:
    page = tokens().page(request.args.get("page", ""))
    return {"data": [token_as_json(token) for token in page.tokens], "next": page.next}


@programs.post("")
def create_as_json() -> tuple[dict[str, Any], int]:
    return {"data": issued_as_json(create_token())}, 201


@programs.get("/<id>")
def get_as_json(id: str) -> dict[str, Any]:
    return {"data": token_as_json(tokens().get(id))}


@programs.patch("/<id>")
def edit_as_json(id: str) -> dict[str, Any]:
    return {"data": token_as_json(edit_token(id))}


@programs.post("/<id>/regenerate")
def regenerate_as_json(id: str) -> dict[str, Any]:
    return {"data": issued_as_json(regenerate_token(id))}


@programs.delete("/<id>")
def delete_as_json(id: str) -> tuple[str, int]:
    tokens().delete(id)
    return "", 204


def token_as_json(token: ApiToken) -> dict[str, Any]:
    """A token with its moments in RFC 3339."""
    fields = asdict(token)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}


def issued_as_json(issued: Issued) -> dict[str, Any]:
    return {**token_as_json(issued.token), "secret": issued.secret}
