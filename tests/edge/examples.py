"""The documents' own examples, run as they stand there with nothing changed but the host and the token."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from stage import Door, Stage
from upstream import Reached

DOCUMENTS = Path(__file__).parent / "documents"
WITHIN = 30.0  # Seconds.

PROGRAMS = {
    "curl": ("example.sh", ["bash"]),
    "python": ("example.py", [sys.executable]),
    "javascript": ("example.mjs", ["node"]),
}


def block(product: str, language: str) -> str:
    """The text of the document's block in that language."""
    text = (DOCUMENTS / f"{product}.md").read_text()
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found, f"no {language} in the document of {product}"
    return found.group(1)


def header(product: str, placeholder: str, secret: str) -> dict[str, str]:
    """The header as the document writes it, with the token."""
    name, value = block(product, "header").strip().replace(placeholder, secret).split(": ", 1)
    return {name: value}


def run_example(stage: Stage, door: Door, language: str, host: str, token: tuple[str, str]) -> Reached:
    """Runs an example against the door, with a secret for the placeholder; answers what reached the upstream."""
    text = block(door.product.name, language)
    placeholder, secret = token
    assert host in text and placeholder in text
    text = text.replace(host, f"http://127.0.0.1:{door.port}").replace(placeholder, secret)
    before = len(stage.upstream.reached)
    name, program = PROGRAMS[language]
    with tempfile.TemporaryDirectory(dir=stage.place.scratch) as directory:
        script = Path(directory) / name
        script.write_text(text)
        done = subprocess.run([*program, str(script)], capture_output=True, text=True, timeout=WITHIN)
    assert done.returncode == 0, done.stderr.replace(secret, placeholder)
    (reached,) = stage.upstream.reached[before:]
    return reached
