"""What the suite promises: each test is a function named by a sentence, with the document's fact that it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from products import PRODUCTS


@dataclass(frozen=True)
class Promise:
    """A test for one product. `fact` is its number, empty where the document is silent and a default stands in."""

    product: str
    fact: str
    says: str
    test: Callable[[Any], None]

    @property
    def sentence(self) -> str:
        return self.test.__name__.replace("_", " ")


PROMISES: list[Promise] = []
Test = Callable[..., None]


def promise(product: str, fact: str, says: str) -> Callable[[Test], Test]:
    """Makes a function of the stage a test of what the product's document says."""

    def register(test: Test) -> Test:
        PROMISES.append(Promise(product, fact, says, test))
        return test

    return register


def promise_of_all(says: str, **facts: str) -> Callable[[Test], Test]:
    """Makes a function of the stage and a product a test for each product; where no fact is given, of its default."""

    def register(test: Test) -> Test:
        for product in PRODUCTS.values():

            def of_one(stage: Any, product: Any = product) -> None:
                test(stage, product)

            of_one.__name__ = test.__name__
            PROMISES.append(Promise(product.name, facts.get(product.name.replace("-", "_"), ""), says, of_one))
        return test

    return register
