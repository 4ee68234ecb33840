"""What a campaign refuses."""

from datetime import datetime

from semalink.domain.refusal import DomainError, FieldRefusal


class CampaignNotFound(DomainError):
    """There is no campaign of this id in the account."""

    code = "campaign_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such campaign.")


class CampaignStateConflict(DomainError):
    """What was asked cannot be done with a campaign that stands where this one does."""

    code = "campaign_state_conflict"

    def __init__(self, *, state: str = "", wanted: str = "", why: str = "") -> None:
        self.state = state
        super().__init__(why or f"A campaign that is {state} cannot be {wanted}.")


class RecipientsNoLongerKept(DomainError):
    """The recipients were kept long enough and are dropped, or are about to be."""

    code = "recipients_no_longer_kept"

    def __init__(self) -> None:
        super().__init__(
            "The recipients of a campaign are kept for 90 days after it was settled, or after the "
            "last change of one that never started. Its results remain; a draft gets its "
            "recipients again with a new check."
        )


class InvalidTemplate(FieldRefusal):
    """The text is no template: a brace of it is neither a variable nor written twice."""

    code = "invalid_template"
    field = "text"

    def __init__(self, why: str) -> None:
        super().__init__(why)


class UnusedDefault(FieldRefusal):
    """A default stands for a variable that the text does not have."""

    code = "unused_default"
    field = "defaults"

    def __init__(self, name: str) -> None:
        super().__init__(f'The text has no variable "{name}". Leave its default out or use it.')


class UnknownTimeZone(FieldRefusal):
    """No time zone has this name."""

    code = "unknown_time_zone"
    field = "time_zone"

    def __init__(self) -> None:
        super().__init__('There is no such time zone. Use an IANA name, as "Africa/Nairobi".')


class InvalidLocalTime(DomainError):
    """A time of a campaign cannot be understood, or clocks of its zone show it never or twice."""

    code = "invalid_local_time"

    def __init__(self, field: str, why: str) -> None:
        self._field = field
        super().__init__(why)

    @property
    def pointer(self) -> str:
        """RFC 6901 pointer to the field at fault."""
        return f"/{self._field}"


class PaceGivenTwice(FieldRefusal):
    """Both a rate and a time to finish by are asked for."""

    code = "pace_given_twice"
    field = "finish_by"

    def __init__(self) -> None:
        super().__init__("Give either rate_per_second or finish_by: each sets the pace.")


class TooManyRecipients(FieldRefusal):
    """A campaign has more recipients than one may have."""

    code = "too_many_recipients"
    field = "recipients"

    def __init__(self, recipients_max: int) -> None:
        super().__init__(
            f"A campaign has at most {recipients_max} recipients here. Make several campaigns."
        )


class NoRecipients(DomainError):
    """Nobody would get a message."""

    code = "no_recipients"

    def __init__(self, *, is_checked: bool) -> None:
        super().__init__(
            "Nobody is left to be messaged: read why in the quote."
            if is_checked
            else "The campaign has neither a contact list nor recipients. Add some first."
        )


class SendTimePassed(FieldRefusal):
    """The time to send at has passed."""

    code = "send_time_passed"
    field = "send_at"

    def __init__(self, send_at: datetime) -> None:
        super().__init__(
            f"The time to send at has passed: it was {send_at.isoformat()}. Give a later time, or "
            "null to send at once."
        )


class ValidityTooShort(FieldRefusal):
    """The last messages would expire before their turn."""

    code = "validity_too_short"
    field = "validity_seconds"

    def __init__(self, needed_seconds: int) -> None:
        super().__init__(
            f"Sending takes about {needed_seconds} s, after which the last messages would be out "
            "of date. Give a longer validity or a faster pace."
        )


class FinishTooSoon(FieldRefusal):
    """Not even the fastest pace finishes by the time that was asked for."""

    code = "finish_too_soon"
    field = "finish_by"

    def __init__(self, earliest_at: datetime) -> None:
        super().__init__(
            f"It can be finished about {earliest_at.isoformat(timespec='seconds')} and no sooner. "
            "Give a later finish_by, or an earlier send_at."
        )
