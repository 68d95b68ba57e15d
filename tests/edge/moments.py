"""Moments as the API writes them."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

SECOND = 1_000_000_000
DAY = 86_400  # Seconds.


def nanoseconds(text: str) -> int:
    """Since 1970, as are all of these."""
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp.ToNanoseconds()


def seconds(text: str) -> float:
    return nanoseconds(text) / SECOND


def days_between(earlier: str, later: str) -> float:
    return (nanoseconds(later) - nanoseconds(earlier)) / (DAY * SECOND)


def days_after(text: str, days: int) -> str:
    """The moment so many days later, as the API takes it."""
    stamp = Timestamp()
    stamp.FromNanoseconds(nanoseconds(text) + days * DAY * SECOND)
    return stamp.ToJsonString()
