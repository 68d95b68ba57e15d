"""Runs every promise through a server and through a sidecar, and compares or writes the page of the results."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable

import page
from processes import until
from promises import PROMISES, Promise
from setting import Setting, setting
from stage import Stage

# Each of these registers its promises, in the order of the documents.
import select_star  # noqa: F401, I001, isort: skip
import undb  # noqa: F401, isort: skip
import coolset  # noqa: F401, isort: skip
import strapi  # noqa: F401, isort: skip
import strapi_settings  # noqa: F401, isort: skip
import qualytics  # noqa: F401, isort: skip
import qualytics_requests  # noqa: F401, isort: skip
import every_product  # noqa: F401, isort: skip

Results = dict[tuple[int, str], bool]


def main() -> int:
    options = parse_options()
    ways = ["server", "sidecar"] if options.through == "both" else [options.through]
    results: Results = {}
    with setting(options.binary) as running:
        stages = [running.stage(way) for way in ways]
        for stage in stages:
            for number, promise in enumerate(PROMISES):
                if options.only in promise.test.__name__:
                    results[number, stage.way] = kept(promise, stage)
        beside = [no_log_holds_a_secret(running), *outage(running, stages)] if not options.only else []
    complete = options.through == "both" and not options.only
    told = [page.is_current(results, write=options.write)] if complete else []
    outcomes = [*results.values(), *beside, *told]
    print(f"{outcomes.count(True)} passed, {outcomes.count(False)} failed")
    return int(not all(outcomes))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run")
    parser.add_argument("binary")
    parser.add_argument("--through", choices=["server", "sidecar", "both"], default="both")
    parser.add_argument("--only", default="", help="run the tests whose names contain this")
    parser.add_argument("--write", action="store_true", help="write the page instead of comparing it")
    return parser.parse_args()


def kept(promise: Promise, stage: Stage) -> bool:
    return told(f"{stage.way}: {promise.product}: {promise.sentence}", lambda: promise.test(stage))


def no_log_holds_a_secret(running: Setting) -> bool:
    """No program printed a secret that was issued in this run."""

    def look() -> None:
        # The 43 characters that are the secret proper, without the prefix, the id and the checksum.
        secrets = [secret[-60:-17] for secret in running.api.issued]
        for log in running.place.logs:
            text = log.read_text()
            assert not any(secret in text for secret in secrets), f"{log.name} holds a secret"

    return told("no log holds a secret", look)


def outage(running: Setting, stages: list[Stage]) -> list[bool]:
    """Without tokenkeep nobody is let in, and nobody is told that a token is bad. Nothing can be tested after this."""
    door = stages[0].door("coolset")
    live = door.token().secret
    for stage in stages:
        stage.door("coolset").assert_lets_in(live)
    ended = told("tokenkeep ends well when told to", lambda: _ends_well(running))

    def undecided(stage: Stage) -> Callable[[], None]:
        def look() -> None:
            # What a sidecar knows it may still answer, for as long as its lease lasts.
            until(lambda: stage.door("coolset").ask(live).status != 200, "the lease to end", within=10)
            answer = stage.door("coolset").ask(live)
            assert answer.status == 503, (answer.status, answer.body)

        return look

    return [ended, *(told(f"{stage.way}: an outage is no verdict", undecided(stage)) for stage in stages)]


def _ends_well(running: Setting) -> None:
    assert running.stop_tokenkeep() == 0


def told(name: str, test: Callable[[], None]) -> bool:
    """Runs a test and says how it went."""
    try:
        test()
    except Exception:  # Whatever it was, the promise was not kept, and the next one is tried.
        traceback.print_exc()
        print(f"FAILED {name}", flush=True)
        return False
    print(f"PASSED {name}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
