"""Refusals: expected, named, with a stable code; nothing was recorded when one is raised.

The order of the classes is their order of precedence.
"""

from semalink.domain.refusal import DomainError, FieldRefusal
from semalink.domain.webhook_errors import (
    EventsNoLongerKept,
    InvalidWebhookUrl,
    RecoveryEnded,
    RecoveryNotFound,
    TooManyRecoveries,
    TooManyWebhookEndpoints,
    UnknownEventType,
    WebhookDeliveryNotFound,
    WebhookDeliveryUnderWay,
    WebhookEndpointDisabled,
    WebhookEndpointNotFound,
)

#: What other modules of refusals declare, and this one offers with its own.
__all__ = (
    "DomainError",
    "EventsNoLongerKept",
    "FieldRefusal",
    "InvalidWebhookUrl",
    "RecoveryEnded",
    "RecoveryNotFound",
    "TooManyRecoveries",
    "TooManyWebhookEndpoints",
    "UnknownEventType",
    "WebhookDeliveryNotFound",
    "WebhookDeliveryUnderWay",
    "WebhookEndpointDisabled",
    "WebhookEndpointNotFound",
)


class AccountNotFound(DomainError):
    """No such account."""

    code = "account_not_found"

    def __init__(self) -> None:
        super().__init__("There is no account with this id.")


class ApiKeyNotFound(DomainError):
    """No such API key on this account."""

    code = "api_key_not_found"

    def __init__(self) -> None:
        super().__init__("This account has no API key with this id.")


class MessageNotFound(DomainError):
    """No such message of this account."""

    code = "message_not_found"

    def __init__(self) -> None:
        super().__init__("There is no message with this id.")


class AdjustmentNotFound(DomainError):
    """No such adjustment."""

    code = "adjustment_not_found"

    def __init__(self) -> None:
        super().__init__("There is no adjustment with this id.")


class EntryNotFound(DomainError):
    """The account has no such entry."""

    code = "entry_not_found"

    def __init__(self) -> None:
        super().__init__("This account has no ledger entry of this number.")


class StatementNotFound(DomainError):
    """The account has no statement of this month."""

    code = "statement_not_found"

    def __init__(self) -> None:
        super().__init__("This account has no statement of that month.")


class MonthNotClosed(DomainError):
    """There is no statement of the month yet: why is said by whoever would make one."""

    code = "month_not_closed"

    def __init__(self, why: str = "This month has not begun yet, in East Africa Time.") -> None:
        super().__init__(why)


class MonthNotFinished(DomainError):
    """The month cannot be closed before it is over."""

    code = "month_not_finished"

    def __init__(self, month: str) -> None:
        super().__init__(f"The month {month} is not over yet, in East Africa Time.")


class MonthOutOfOrder(DomainError):
    """Another month has to be closed before this one."""

    code = "month_out_of_order"

    def __init__(self, next_month: str | None) -> None:
        super().__init__(
            "There is no entry yet, so that there is no month to close."
            if next_month is None
            else f"Months are closed in order; the next one is {next_month}."
        )


class IdempotencyKeyReused(DomainError):
    """The key was used before, for another request."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for a request with another body. "
            "Use a new key for a new request."
        )


class PaymentReferenceReused(DomainError):
    """The payment reference was used before, for another top-up."""

    code = "payment_reference_reused"

    def __init__(self) -> None:
        super().__init__(
            "This payment reference was used for another top-up. "
            "A payment can be credited once, to one account."
        )


class AgentRequired(FieldRefusal):
    """An agent's customer needs an agent, and nobody else has one."""

    code = "agent_required"
    field = "agent_id"

    def __init__(self) -> None:
        super().__init__(
            "A customer is opened under an account of the kind agent; other kinds have none."
        )


class PaidByAgent(DomainError):
    """The account's agent pays, so that it has no credits of its own."""

    code = "paid_by_agent"

    def __init__(self) -> None:
        super().__init__(
            "This account's agent pays for it. Change the agent's credits, or open a customer "
            "that pays for itself."
        )


class NotPaidByAgent(DomainError):
    """The account pays for itself, so that no agent's terms hold for it."""

    code = "not_paid_by_agent"

    def __init__(self) -> None:
        super().__init__("This account pays for itself; only its own credits bound what it spends.")


class NotEnterprise(DomainError):
    """Only enterprise accounts have a route of their own."""

    code = "not_enterprise"

    def __init__(self) -> None:
        super().__init__("Only accounts of the enterprise tier have a dedicated route.")


class NotAnAgent(DomainError):
    """The account has no customers."""

    code = "not_an_agent"

    def __init__(self) -> None:
        super().__init__("This account is not an agent; only agents have customers and prices.")


class NotRelated(DomainError):
    """The two accounts are not an agent and its customer."""

    code = "not_related"

    def __init__(self) -> None:
        super().__init__(
            "Credits are transferred between an agent and a customer of it that pays for itself."
        )


class SamePerson(DomainError):
    """Whoever proposed an adjustment may not approve it."""

    code = "same_person"

    def __init__(self) -> None:
        super().__init__("An adjustment is approved by another person than proposed it.")


class AdjustmentDecided(DomainError):
    """The adjustment was approved or rejected before."""

    code = "adjustment_decided"

    def __init__(self) -> None:
        super().__init__("This adjustment was approved or rejected before.")


class InvalidNumber(FieldRefusal):
    """Not a mobile number that can be messaged."""

    code = "invalid_number"
    field = "to"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"{why} Write the number in E.164, as +254712345678.")


class UnsupportedDestination(FieldRefusal):
    """The rate card has no price for this country or network."""

    code = "unsupported_destination"
    field = "to"

    def __init__(self, country: str) -> None:
        self.country = country
        super().__init__(f"No price is set for numbers of {country or 'this country'}.")


class UnknownSender(FieldRefusal):
    """The sender id is not approved for this account."""

    code = "unknown_sender"
    field = "sender"

    def __init__(self, sender: str) -> None:
        self.sender = sender
        super().__init__(
            f"The sender id {sender!r} is not approved for this account. "
            "Sender ids are case-sensitive; ask for its approval first."
        )


class EmptyText(FieldRefusal):
    """The text has nothing to read in it."""

    code = "empty_text"
    field = "text"

    def __init__(self) -> None:
        super().__init__("The text is empty or holds only white space.")


class TextTooLong(FieldRefusal):
    """The text takes more segments than one message may."""

    code = "text_too_long"
    field = "text"

    def __init__(self, *, segments: int, segments_max: int) -> None:
        self.segments = segments
        self.segments_max = segments_max
        super().__init__(
            f"The text takes {segments} segments; at most {segments_max} are allowed. Shorten it."
        )


class ContentBlocked(FieldRefusal):
    """A blocklist rule forbids the text."""

    code = "content_blocked"
    field = "text"

    def __init__(self, rule: str, reason: str = "") -> None:
        self.rule = rule
        super().__init__(f"The text is blocked by the content rule {rule!r}. {reason}".rstrip())


class SpendingCapReached(DomainError):
    """The customer's cap for the month does not cover the price."""

    code = "spending_cap_reached"

    def __init__(self, *, cap_micros: int, spent_micros: int, price_micros: int) -> None:
        self.cap_micros = cap_micros
        self.spent_micros = spent_micros
        super().__init__(
            f"The price is {price_micros} micros, and {spent_micros} of this month's "
            f"{cap_micros} are spent. Ask your agent to raise the cap, or wait for the next month."
        )


class InsufficientCredits(DomainError):
    """The available credits do not cover the price."""

    code = "insufficient_credits"

    def __init__(self, *, available_micros: int | None, price_micros: int) -> None:
        #: None where the credits are another account's, whose balance is not the caller's to see.
        self.available_micros = available_micros
        self.price_micros = price_micros
        super().__init__(
            "The account that pays has too few credits. Ask your agent to top it up."
            if available_micros is None
            else f"The price is {price_micros} micros and {available_micros} are available. "
            "Top up the account."
        )


class CreditLimitTooLow(DomainError):
    """More than the new limit is used already."""

    code = "credit_limit_too_low"

    def __init__(self, *, used_micros: int) -> None:
        self.used_micros = used_micros
        super().__init__(
            f"The account uses {used_micros} micros of its limit; the new limit must cover them."
        )


class ReservationNotOpen(DomainError):
    """The reservation was resolved before, or never made."""

    code = "reservation_not_open"

    def __init__(self) -> None:
        super().__init__("This reservation is not open: a reservation is resolved at most once.")


class DeadLetterNotFound(DomainError):
    """No such dead letter."""

    code = "dead_letter_not_found"

    def __init__(self) -> None:
        super().__init__("There is no dead letter with this id.")


class DeadLetterJobNotFound(DomainError):
    """No such bulk action on dead letters."""

    code = "dead_letter_job_not_found"

    def __init__(self) -> None:
        super().__init__("There is no bulk action with this id.")


class DeadLetterSettled(DomainError):
    """The dead letter was republished or discarded before."""

    code = "dead_letter_settled"

    def __init__(self, state: str) -> None:
        super().__init__(f"This dead letter was {state} before.")


class DeadLetterJobEnded(DomainError):
    """The bulk action is over."""

    code = "dead_letter_job_ended"

    def __init__(self, state: str) -> None:
        super().__init__(f"This bulk action is {state}.")


class PayloadTooLarge(FieldRefusal):
    """The queue takes no message of this size."""

    code = "payload_too_large"
    field = "payload"

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"A message of this queue has at most {bytes_max} bytes.")
