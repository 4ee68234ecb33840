"""What the applications of the edge are given; they make nothing of it themselves."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from semalink.application.campaign_reading import Campaigns
from semalink.application.campaign_results import CampaignResultReads
from semalink.application.checkpoint_reading import Checkpoints
from semalink.application.contact_reading import Contacts
from semalink.application.content_reading import ContentRuleReads, SenderIdReads
from semalink.application.dead_letter_reading import DeadLetters
from semalink.application.delivery_reading import DeliveryReads
from semalink.application.endpoint_reading import EndpointReads
from semalink.application.explaining import ExplainingReads
from semalink.application.feed import FeedReads
from semalink.application.history import History
from semalink.application.ledger import Ledger
from semalink.application.months import Months
from semalink.application.opt_out_reading import OptOutReads
from semalink.application.orphan_reports import Orphans
from semalink.application.rate_limiting import Standing
from semalink.application.reading import Caller
from semalink.application.reconciliation import Reconciliation
from semalink.application.route_reading import RouteReading
from semalink.application.sending import Sending
from semalink.application.usage_reading import UsageReads
from semalink.application.webhooks import SecretMaker
from semalink.domain.blocklist import BlocklistRule
from semalink.domain.campaign_start import Circumstances
from semalink.domain.content_check import Rules
from semalink.web.auth import KeyRing
from semalink.web.upload_limits import DEFAULT_LIMITS, UploadLimits


class RequestObserver(Protocol):
    """Sees every request begin and end, for metrics and traces."""

    def begin(self, scope: Mapping[str, Any]) -> Any:
        """Take note that a request came; what is returned is handed to ``end``."""
        ...

    def traceparent(self, token: Any) -> str:
        """Return the W3C trace context for the work that follows; "" when it is not traced."""
        ...

    def end(self, token: Any, *, route: str, method: str, status: int, seconds: float) -> None:
        """Take note of the answer; ``route`` is a template or "unmatched", never a path."""
        ...


class ReportStore(Protocol):
    """Keeps delivery reports as they came, until a worker reads them."""

    async def store(self, aggregator: str, content_type: str, body: bytes) -> None:
        """Make one report durable; raises ReportStoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """What the health pages tell."""

    #: By name; each says whether what it looks at works, and never raises.
    checks: Mapping[str, Callable[[], Awaitable[bool]]]
    #: The metrics page and its content type.
    metrics: Callable[[], tuple[bytes, str]]
    #: A check that takes longer has failed.
    check_seconds_max: float = 2.0


@dataclass(frozen=True, slots=True)
class Edge:
    """What every application of the edge needs."""

    clock: Callable[[], datetime]
    new_id: Callable[[datetime], UUID]
    health: Health
    observer: RequestObserver | None = None


class Limiter(Protocol):
    """Says whether a caller may go on; None where there is no limit."""

    async def admit(self, caller: Caller, units: int) -> Standing | None:
        """Let so many messages in, or refuse them all."""
        ...

    def admit_request(self, caller: Caller) -> Standing | None:
        """Let one request in that is no message, or refuse it."""
        ...


class Unlimited:
    """Lets every request in."""

    async def admit(self, caller: Caller, units: int) -> None:
        """Let the messages in."""

    def admit_request(self, caller: Caller) -> None:
        """Let the request in."""


UNLIMITED = Unlimited()


@dataclass(frozen=True, slots=True)
class WebhookRules:
    """What registering an endpoint needs beside the ledger."""

    #: None where the platform has no key to seal secrets with.
    secrets: SecretMaker | None
    #: Says why nothing can be sent to an address; None when it is fit.
    why_unfit: Callable[[str], str | None]


def _nothing(rule: str, mode: str) -> None:
    """Note nothing."""


@dataclass(frozen=True, slots=True)
class ApiDependencies:
    """What the customers' API needs."""

    edge: Edge
    reads: ExplainingReads
    sending: Sending
    ledger: Ledger
    months: Months
    deliveries: DeliveryReads
    endpoints: EndpointReads
    opt_outs: OptOutReads
    feed: FeedReads
    sender_ids: SenderIdReads
    campaign_results: CampaignResultReads
    usage: UsageReads
    contacts: Contacts
    webhooks: WebhookRules
    campaigns: Campaigns
    #: What the platform brings to the forecast of a campaign.
    platform: Callable[[], Circumstances]
    key_ring: KeyRing
    #: The rules of now; their senders are those that every account may use.
    rules: Callable[[], Rules]
    #: The platform's secret, under which cursors are signed.
    key_pepper: bytes
    default_ttl: timedelta = timedelta(hours=24)
    limiter: Limiter = UNLIMITED
    #: Told of each content rule that found fault with a message, and of the mode of the rule.
    on_rule: Callable[[str, str], None] = _nothing
    upload_limits: UploadLimits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class AdminDependencies:
    """What the operators' API needs."""

    edge: Edge
    reads: ExplainingReads
    history: History
    usage: UsageReads
    ledger: Ledger
    key_ring: KeyRing
    key_pepper: bytes
    #: Aggregators that an account may prefer.
    aggregators: Sequence[str]
    reconciliation: Reconciliation
    checkpoints: Checkpoints
    dead_letters: DeadLetters
    months: Months
    deliveries: DeliveryReads
    endpoints: EndpointReads
    opt_outs: OptOutReads
    routes: RouteReading
    orphans: Orphans
    sender_ids: SenderIdReads
    content_rules: ContentRuleReads
    #: The content rules of the platform's file.
    rules_of_file: Sequence[BlocklistRule]
    #: Sender ids that every account may use.
    shared_senders: Collection[str]
    campaigns: Campaigns
    #: What the platform brings to the forecast of a campaign.
    platform: Callable[[], Circumstances]
    #: Told after a key was revoked, so that no process goes on trusting it.
    on_key_revoked: Callable[[UUID], None]


@dataclass(frozen=True, slots=True)
class IntakeDependencies:
    """What the intake of delivery reports needs."""

    edge: Edge
    store: ReportStore
    #: Accepted secrets by aggregator; two at once while one replaces the other.
    secrets: Mapping[str, Sequence[str]] = field(repr=False)
