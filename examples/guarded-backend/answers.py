"""What callers are told when a request fails: one body for every error, in the shape the product documents."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import (
    BadRequest,
    Conflict,
    Forbidden,
    HTTPException,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
)

from errors import (
    ChangedMeanwhile,
    InvalidField,
    InvalidPage,
    NoSuchToken,
    TokenExpired,
    TokenkeepError,
)

NAMES = {
    400: "ValidationError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    409: "ConflictError",
    503: "ServiceUnavailableError",
}


def invalid(field: str, message: str) -> BadRequest:
    """A field of the caller's request is wrong."""
    return BadRequest(f"{field}: {message}")


def as_http(error: TokenkeepError) -> HTTPException:
    """What a failed call to tokenkeep means to a caller of ours. Whatever it did not decide is our outage."""
    if isinstance(error, InvalidField):
        return BadRequest("; ".join(f"{field}: {description}" for field, description in error.fields))
    if isinstance(error, InvalidPage):
        return BadRequest("page: not a page of this list")
    if isinstance(error, NoSuchToken):
        return NotFound("There is no such API token")
    if isinstance(error, TokenExpired):
        return Conflict("The API token is expired; give it a new duration first")
    if isinstance(error, ChangedMeanwhile):
        return Conflict("Somebody else has changed the API token; look at it again")
    return ServiceUnavailable("API tokens cannot be checked at the moment", retry_after=round(error.retry_after))


def unauthorized() -> Unauthorized:
    """One answer for a missing and for an invalid token: which of the two it was helps only those who guess."""
    return Unauthorized("Missing or invalid credentials")


def forbidden() -> Forbidden:
    """The token is good, but not for this."""
    return Forbidden("The API token does not allow this")


def body(error: HTTPException) -> dict[str, Any]:
    status = error.code or 500
    name = NAMES.get(status, type(error).__name__)
    return {"data": None, "error": {"status": status, "name": name, "message": error.description, "details": {}}}


def register(app: Flask) -> None:
    """Makes `app` answer every error as this module says: pages to people, JSON to programs."""

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> Response | HTTPException:
        if request.blueprint == "admin_pages":
            response = app.make_response(render_template("error.html", error=error))
        else:
            response = jsonify(body(error))
        response.status_code = error.code or 500
        if response.status_code == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, ServiceUnavailable) and error.retry_after:
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    @app.errorhandler(TokenkeepError)
    def tokenkeep_failed(error: TokenkeepError) -> Response | HTTPException:
        app.logger.warning("tokenkeep: %s", error)
        return failed(as_http(error))
