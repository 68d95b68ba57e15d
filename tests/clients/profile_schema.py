"""Asks a validator of JSON Schema whether the profiles keep to their schema, and whether it refuses wrong ones."""

import json
import pathlib
import sys

import jsonschema

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROFILES = pathlib.Path(__file__).parent / "../../profiles"
SCHEMA = json.loads((PROFILES / "profile.schema.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
TEMPLATE = (PROFILES / "template.toml").read_text()

WRONG = [
    ("version = 1", "version = 0"),
    ("version = 1\n", ""),
    ("external_ids = false", "colour = 'blue'"),
    ("scheme_case_sensitive = false", "scheme_case_sensitiv = false"),
    ('header = "authorization"', 'header = "Authorization"'),
    ('type = "read_only"', 'type = "readonly"'),
    ('grants = ["*"]\n', ""),
    ('type = "custom"', 'type = "custom"\ngrants = ["orders:read"]'),
    ('grants = ["*"]', 'grants = ["tokenkeep:tokens:read"]'),
    ("days = 30\n", ""),
    ("days = 30", "days = 30\nnever = true"),
    ("status = 403", "status = 503"),
]


def told(name: str, holds: bool) -> None:
    print(f"{'PASSED' if holds else 'FAILED'} schema: {name}")


jsonschema.Draft7Validator.check_schema(SCHEMA)
for path in sorted(PROFILES.glob("*.toml")):
    told(f"{path.name} keeps to it", VALIDATOR.is_valid(tomllib.loads(path.read_text())))
for right, wrong in WRONG:
    assert right in TEMPLATE, right
    profile = tomllib.loads(TEMPLATE.replace(right, wrong, 1))
    told(f"it refuses {wrong!r} instead of {right!r}", not VALIDATOR.is_valid(profile))
