"""A small HTTP service whose API tokens are tokenkeep's: puts the parts together and serves them."""

from __future__ import annotations

import argparse
import hashlib
import os
import secrets
import sys
from datetime import datetime
from pathlib import Path

import waitress
from flask import Flask, redirect

import admin
import answers
from api_tokens import ApiTokens
from articles import articles
from connection import Connection, Settings
from errors import TokenkeepError


def main() -> int:
    options = parse_options()
    connection = Connection(Settings.from_environment())
    try:
        connection.ensure_workspace()
    except TokenkeepError as error:
        print(f"guarded-backend: tokenkeep does not answer: {error}", file=sys.stderr)
        return 1
    app = create_app(ApiTokens(connection), admin_key(options.state_dir))
    host, _, port = options.listen.rpartition(":")
    server = waitress.create_server(app, host=host, port=int(port), threads=8, ident=None)
    print(f"listening on http://{host}:{server.effective_port}/admin/tokens", flush=True)
    print(f"the administrators' key is in {options.state_dir / 'admin-key'}", flush=True)
    server.run()
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8080", help="default: %(default)s")
    state = Path(__file__).parent / "state"
    parser.add_argument("--state-dir", type=Path, default=state, help="holds the administrators' key")
    return parser.parse_args()


def admin_key(state_dir: Path) -> str:
    """The administrators' key, made at the first start, readable by its owner alone."""
    path = state_dir / "admin-key"
    state_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


def create_app(tokens: ApiTokens, key: str) -> Flask:
    """The service over `tokens`. A new administrators' key ends every session, since cookies are signed under it."""
    app = Flask(__name__)
    app.config.update(
        ADMIN_KEY=key,
        API_TOKENS=tokens,
        MAX_CONTENT_LENGTH=64 * 1024,
        SECRET_KEY=hashlib.sha256(b"session cookies " + key.encode()).digest(),
        SESSION_COOKIE_SAMESITE="Strict",
    )
    for blueprint in (articles, admin.pages, admin.programs):
        app.register_blueprint(blueprint)
    answers.register(app)
    app.add_template_filter(moment)
    app.add_url_rule("/", view_func=lambda: redirect("/admin/tokens"), endpoint="home")
    return app


def moment(value: datetime | None) -> str:
    """A moment as pages show it."""
    return f"{value:%Y-%m-%d %H:%M} UTC" if value else "never"


if __name__ == "__main__":
    sys.exit(main())
