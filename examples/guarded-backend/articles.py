"""The guarded API: articles, whose functions `find`, `findOne` and `create` each ask for a scope."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from itertools import count
from typing import Any

from flask import Blueprint, current_app, request
from werkzeug.exceptions import NotFound

from answers import forbidden, invalid, unauthorized
from api_tokens import ApiTokens, Verdict

articles = Blueprint("articles", __name__, url_prefix="/api/articles")

stored: dict[int, dict[str, Any]] = {
    1: {"id": 1, "title": "A token a day"},
    2: {"id": 2, "title": "Keys under doormats"},
}
numbers = count(3)


def guarded(scope: str) -> Callable:
    """Lets a request through if its token opens `scope`: 401 without a live token, 403 short of the scope, and 503
    when nobody can tell, since an outage is not a verdict."""

    def decorate(function: Callable) -> Callable:
        @wraps(function)
        def answer(*arguments: Any, **named: Any) -> Any:
            tokens: ApiTokens = current_app.config["API_TOKENS"]
            verdict = tokens.judge(presented_token(), scope)
            if verdict is Verdict.INVALID:
                raise unauthorized()
            if verdict is Verdict.INSUFFICIENT:
                raise forbidden()
            return function(*arguments, **named)

        return answer

    return decorate


def presented_token() -> str:
    """The token in `Authorization: bearer <token>`; the scheme's case does not matter."""
    parts = request.headers.get("Authorization", "").split()
    if len(parts) != 2 or parts[0].lower() != "bearer":
        raise unauthorized()
    return parts[1]


@articles.get("")
@guarded("articles:find")
def find() -> dict[str, Any]:
    return {"data": list(stored.values())}


@articles.get("/<int:number>")
@guarded("articles:findOne")
def find_one(number: int) -> dict[str, Any]:
    if number not in stored:
        raise NotFound("There is no such article")
    return {"data": stored[number]}


@articles.post("")
@guarded("articles:create")
def create() -> tuple[dict[str, Any], int]:
    given = request.get_json(silent=True)
    title = given.get("title") if isinstance(given, dict) else None
    if not isinstance(title, str) or not title:
        raise invalid("title", "a text is wanted")
    number = next(numbers)
    stored[number] = {"id": number, "title": title}
    return {"data": stored[number]}, 201
