"""Where a message stands."""

from enum import StrEnum


class Status(StrEnum):
    """Where a message stands, as customers see it."""

    ACCEPTED = "accepted"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


FINAL_STATUSES = frozenset(Status) - {Status.ACCEPTED, Status.SUBMITTED}
