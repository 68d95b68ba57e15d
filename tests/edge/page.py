"""The page of the results, docs/products.md: a table for each document, and what no token service can keep."""

from __future__ import annotations

from pathlib import Path

from beyond import BEYOND
from products import PRODUCTS, Product
from promises import PROMISES

PAGE = Path(__file__).parents[2] / "docs" / "products.md"

Results = dict[tuple[int, str], bool]

HEAD = """# Five products, to the letter

tokenkeep is made to be the token system of other products. Five of them stand for all: each has a page on its API
tokens, each is a [profile](profiles.md) that ships with the binary, and every sentence of each page that a token
service can keep is a test. `tests/edge/run target/debug/tokenkeep --write` runs them and writes this page; without
`--write` it fails if the page would come out otherwise.

The products' clients talk HTTP to a real Envoy, which asks tokenkeep's `Check` before it lets a request through, once
of a server and once of a [sidecar](fleet.md); how to set that up is in [edge.md](edge.md). An answer counts only if
status, headers and body are the document's. The examples in curl, Python and JavaScript are run as the documents have
them, with nothing changed but the host and the token.

What no table holds is run along: that no program logs a secret; that without tokenkeep every answer is 503, be it that
a sidecar's lease has ended or that it has never reached a server; and that Envoy, nginx and Caddy, configured as
[edge.md](edge.md) shows, let in and turn away alike.

A fact has a letter for its document and a number, under which its tests stand together. Where the fact is missing the
document says nothing of it: what is tested then is a default of the profile, marked there as `silent`, or a rule that
tokenkeep has for all products.
"""


def is_current(results: Results, write: bool) -> bool:
    """Writes the page, or says whether it is as this run would write it."""
    text = rendered(results)
    if write:
        PAGE.write_text(text)
        return True
    current = PAGE.exists() and PAGE.read_text() == text
    verdict = "PASSED" if current else "FAILED"
    print(f"{verdict} docs/products.md is what this run would write", flush=True)
    return current


def rendered(results: Results) -> str:
    sections = [of_product(product, results) for product in PRODUCTS.values()]
    return "\n".join([HEAD, counted(results), *sections])


def counted(results: Results) -> str:
    kept = sum(all(results[number, way] for way in ("server", "sidecar")) for number in range(len(PROMISES)))
    beyond = sum(len(entries) for entries in BEYOND.values())
    return (
        f"{len(PROMISES)} tests, {kept} of them kept both through a server and through a sidecar. {beyond} "
        "things that the documents say no token service\ncan keep; they stand below each table.\n"
    )


def of_product(product: Product, results: Results) -> str:
    chosen = [(number, promise) for number, promise in enumerate(PROMISES) if promise.product == product.name]
    # The numbered facts in their order, then the defaults; within a fact, as the tests stand in the suite.
    chosen.sort(key=lambda entry: order(entry[1].fact))
    rows = [
        f"| {promise.fact} | {promise.says} | {promise.sentence} | {told(results[number, 'server'])} "
        f"| {told(results[number, 'sidecar'])} |"
        for number, promise in chosen
    ]
    head = "| fact | the document | the test | through a server | through a sidecar |\n|---|---|---|---|---|"
    table = "\n".join([head, *rows])
    return f"## {product.title}\n\n{table}\n\n{beyond(product)}"


def beyond(product: Product) -> str:
    """What the document says that is not up to a token service."""
    rows = [f"| {says} | {why} |" for says, why in BEYOND[product.name]]
    head = "| the document | why not |\n|---|---|"
    return "\n".join(["What no token service can keep:\n", head, *rows]) + "\n"


def order(fact: str) -> tuple[int, int]:
    return (0, int(fact[1:])) if fact else (1, 0)


def told(kept: bool) -> str:
    return "yes" if kept else "**no**"
