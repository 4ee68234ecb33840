"""What the sandbox is told once, at start."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from semalink_ops.sandbox.controls import Controls


@dataclass(frozen=True, slots=True)
class Credential:
    """Whom a partnerID or a username stands for, and where the reports go."""

    #: "celcom", "africastalking" or "sandbox"; the name in the callback path.
    aggregator: str
    api_key: str = field(repr=False)
    #: The last segment of the callback path.
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Where reports go, who may call, and the bounds of everything that is kept."""

    #: Base of the intake, e.g. "http://127.0.0.1:8081"; reports go to /dlr/{aggregator}/{secret}.
    dlr_url: str
    #: By partnerID (Celcom format) or username (Africa's Talking format).
    credentials: Mapping[str, Credential]
    #: The switches of every aggregator at start and after a reset.
    controls: Controls = field(default_factory=Controls)
    #: The last so many messages are remembered; older ones only count.
    messages_max: int = 200_000
    #: Reports that may wait at once; more are lost, and counted as lost.
    reports_pending_max: int = 200_000
    #: Reports under way at once.
    reports_concurrent: int = 64
    #: A report that the intake does not take is tried again for so long, then lost.
    report_retry_limit_seconds: float = 300.0
    #: The first pause before a report is tried again; it doubles up to 15 seconds.
    report_retry_first_seconds: float = 0.2
    report_timeout_seconds: float = 10.0
    #: How long the answer waits for the report of the act "report before the answer".
    report_first_limit_seconds: float = 2.0
    #: How long a silent connection is kept when the client never gives up.
    hang_limit_seconds: float = 120.0
    #: Messages in one sendbulk; more are refused with 1012.
    bulk_max: int = 1_000
    #: Numbers in one comma list; more are refused with 1104.
    comma_list_max: int = 1_000
    #: The reference before the first; None takes the clock, so that a restart repeats none.
    reference_base: int | None = None
    #: Whether /control answers callers from other machines.
    control_open: bool = False
