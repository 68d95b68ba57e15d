"""Runs every promise through a server and through a sidecar, and compares or writes the page of the results."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial

import example_readme
import page
from api import proper
from other_proxies import PROXIES, program_of
from promises import PROMISES, Promise
from proxied import PROXIED
from setting import Setting, setting
from stage import Door, Stage

# Each of these registers its promises, in the order of the documents.
import select_star  # noqa: F401, I001, isort: skip
import undb  # noqa: F401, isort: skip
import coolset  # noqa: F401, isort: skip
import coolset_settings  # noqa: F401, isort: skip
import strapi  # noqa: F401, isort: skip
import strapi_settings  # noqa: F401, isort: skip
import strapi_table  # noqa: F401, isort: skip
import qualytics  # noqa: F401, isort: skip
import qualytics_requests  # noqa: F401, isort: skip
import every_product  # noqa: F401, isort: skip

Results = dict[tuple[int, str], bool]

LEASE_ENDS = 10.0  # Seconds, within which a lease of 3 has ended on any machine.


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
        beside = [*proxied(stages, options.only)]
        if not options.only:
            beside += [*example(running), no_log_holds_a_secret(running), *outage(running, stages)]
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


def proxied(stages: list[Stage], only: str) -> Iterator[bool]:
    """What holds behind proxies that are configured as we show it, of those that are to be had."""
    for stage in stages:
        for name, door in stage.proxied_doors.items():
            for test in PROXIED:
                if only in test.__name__:
                    look = partial(test, stage, door)
                    yield told(f"{stage.way}: the sample for {name}: {test.__name__.replace('_', ' ')}", look)
    for name in PROXIES:
        if not program_of(name):
            print(f"SKIPPED {name}: it is not to be had here", flush=True)


def example(running: Setting) -> Iterator[bool]:
    """The README of the example service tells the truth."""

    def look() -> None:
        address, scratch = running.place.address, running.place.scratch
        running.api.issued.append(example_readme.walk(scratch, address, running.operator_token))

    if example_readme.grpcurl():
        yield told("the steps of the example's README work", look)
    else:
        print("SKIPPED the steps of the example's README: grpcurl is not to be had here", flush=True)


def no_log_holds_a_secret(running: Setting) -> bool:
    """No program printed a secret that was issued in this run."""

    def look() -> None:
        secrets = [proper(secret) for secret in running.api.issued]
        assert secrets and running.place.logs
        for log in running.place.logs:
            text = log.read_text()
            assert not any(secret in text for secret in secrets), f"{log.name} holds a secret"

    return told("no log holds a secret", look)


def outage(running: Setting, stages: list[Stage]) -> list[bool]:
    """Without tokenkeep nobody is let in, and nobody is told that a token is bad. Nothing can be tested after this."""
    door = stages[0].door("coolset")
    known, unknown = door.token().secret, door.token().secret
    for stage in stages:
        for at in all_doors(stage):
            at.assert_lets_in(known)
    outcomes = [told("tokenkeep ends well when told to", lambda: _ends_well(running))]
    for stage in stages:
        look = partial(_is_undecided, stage, known, unknown)
        outcomes.append(told(f"{stage.way}: an outage is no verdict", look))
    for stage in stages:
        if stage.way == "sidecar":
            running.restart_sidecar()
            look = partial(_knows_nothing, stage, known)
            outcomes.append(told("sidecar: one that never reached a server decides nothing", look))
    return outcomes


def all_doors(stage: Stage) -> list[Door]:
    """That of Envoy, and those of other proxies before the same workspace."""
    return [stage.door("coolset"), *stage.proxied_doors.values()]


def _is_undecided(stage: Stage, known: str, unknown: str) -> None:
    for door in all_doors(stage):
        statuses, deadline = [door.ask(known).status], time.monotonic() + LEASE_ENDS
        # What a sidecar knows it may still answer, for as long as its lease lasts.
        while statuses[-1] == 200:
            assert time.monotonic() < deadline, "the lease has not ended"
            statuses.append(door.ask(known).status)
        statuses += [door.ask(secret).status for secret in (known, unknown)]
        assert set(statuses) <= {200, 503} and statuses[-3:] == [503] * 3, (door.port, statuses[-3:])


def _knows_nothing(stage: Stage, known: str) -> None:
    for door in all_doors(stage):
        for answer in (door.ask(known), door.ask("nonsense"), door.send({})):
            assert answer.status == 503, (answer.status, answer.body)


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
