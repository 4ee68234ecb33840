"""What the two wire formats have in common: acts become statuses, statuses become reports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from semalink_ops.sandbox.magic_numbers import Act
from semalink_ops.sandbox.takings import Taking


@dataclass(frozen=True, slots=True)
class WireFormat:
    """How one aggregator reports what happened to a message."""

    #: The statuses that an act reports, in the order in which they are pushed.
    statuses: Mapping[Act, tuple[str, ...]]
    #: Statuses after which another may come; they never replace a final one.
    passing: frozenset[str]
    #: The content type of a pushed report.
    content_type: str
    #: The body of the report of one status.
    render: Callable[[Taking, str], bytes]
