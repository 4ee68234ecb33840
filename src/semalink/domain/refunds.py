"""Which final states give a charge back."""

from collections.abc import Collection

from semalink.domain.status import Status

#: An operator that would not carry a message did not earn its price; one that tried did.
REFUNDED = frozenset({Status.REJECTED})

#: What an account's own rule may name: every end short of delivery that can follow a charge.
REFUNDABLE = frozenset({Status.FAILED, Status.REJECTED, Status.EXPIRED, Status.UNKNOWN})


#: A recipient's opt-out is never charged, whatever a rule says.
OPTED_OUT = "opted_out"


def is_refunded(
    final_status: Status,
    refunded_on: Collection[str] | None = None,
    *,
    failure_code: str | None = None,
) -> bool:
    """Whether a charged message that ends so is refunded, by its account's rule or our own."""
    if failure_code == OPTED_OUT:
        return True
    return final_status in (REFUNDED if refunded_on is None else refunded_on)
