"""A message that waits and whose recipient opted out meanwhile: it does not go out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The recipient opted out before any aggregator had the message."""
