"""What one kind of error is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of error; its page is served under ``/problems/<code>``."""

    code: str
    status: int
    #: The same for every occurrence.
    title: str
    #: What the client can do, in a sentence or two.
    remedy: str
    #: Whether the very same request may succeed later.
    retryable: bool = False
