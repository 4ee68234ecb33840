"""What is refused of webhooks and of the feed; the order is that of precedence."""

from semalink.domain.refusal import DomainError, FieldRefusal


class WebhookEndpointNotFound(DomainError):
    """The account has no such endpoint."""

    code = "webhook_endpoint_not_found"

    def __init__(self) -> None:
        super().__init__("This account has no webhook endpoint with this id.")


class WebhookDeliveryNotFound(DomainError):
    """The account has no such delivery."""

    code = "webhook_delivery_not_found"

    def __init__(self) -> None:
        super().__init__("This account has no webhook delivery with this id.")


class RecoveryNotFound(DomainError):
    """The endpoint has no such recovery."""

    code = "recovery_not_found"

    def __init__(self) -> None:
        super().__init__("This endpoint has no recovery with this id.")


class WebhookEndpointDisabled(DomainError):
    """Nothing is sent to the endpoint before its owner resumes it."""

    code = "webhook_endpoint_disabled"

    def __init__(self) -> None:
        super().__init__("The endpoint is disabled. Mend it and resume it first.")


class WebhookDeliveryUnderWay(DomainError):
    """Attempts of the delivery are made anyway."""

    code = "webhook_delivery_under_way"

    def __init__(self) -> None:
        super().__init__("The delivery is under way; its next_attempt_at says when it goes on.")


class TooManyRecoveries(DomainError):
    """As many recoveries as may be are under way at the endpoint."""

    code = "too_many_recoveries"

    def __init__(self, recoveries_max: int) -> None:
        super().__init__(
            f"At most {recoveries_max} recoveries of an endpoint are under way at a time. "
            "Wait for one, or cancel it."
        )


class RecoveryEnded(DomainError):
    """The recovery was cancelled or completed before."""

    code = "recovery_ended"

    def __init__(self, state: str) -> None:
        super().__init__(f"The recovery is {state} and changes no more; start another one.")


class TooManyWebhookEndpoints(DomainError):
    """The account has as many endpoints as one may have."""

    code = "too_many_webhook_endpoints"

    def __init__(self, endpoints_max: int) -> None:
        super().__init__(
            f"An account has at most {endpoints_max} webhook endpoints. Remove one first."
        )


class InvalidWebhookUrl(FieldRefusal):
    """Nothing may be sent to this address."""

    code = "invalid_webhook_url"
    field = "url"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"{why} Write it as https://example.com/webhooks.")


class UnknownEventType(FieldRefusal):
    """No event has a name that this pattern chooses."""

    code = "unknown_event_type"
    field = "event_types"

    def __init__(self, place: int) -> None:
        self.place = place
        super().__init__(
            "This chooses no event. Write * for all, message.* for all of a kind, or a name "
            "that GET /v1/event-types lists."
        )

    @property
    def pointer(self) -> str:
        """RFC 6901 pointer to the pattern at fault."""
        return f"/{self.field}/{self.place}"


class EventsNoLongerKept(DomainError):
    """What comes next in the feed was dropped, because it was kept long enough."""

    code = "events_no_longer_kept"

    def __init__(self, oldest_sequence: int) -> None:
        self.oldest_sequence = oldest_sequence
        super().__init__(
            f"The oldest event that is still kept has the sequence {oldest_sequence}. "
            f"Read on with after={oldest_sequence - 1}, and fill the gap from the messages "
            "themselves."
        )
