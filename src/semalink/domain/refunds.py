"""Which final states give a charge back."""

from semalink.domain.message import Status

#: An operator that would not carry a message did not earn its price; one that tried did.
_REFUNDED = frozenset({Status.REJECTED})


def is_refunded(final_status: Status) -> bool:
    """Whether a charged message that ends so is refunded, by the platform's default."""
    return final_status in _REFUNDED
