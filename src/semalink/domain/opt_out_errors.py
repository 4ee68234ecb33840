"""What is refused because of opt-outs; the order is that of precedence."""

from semalink.domain.refusal import DomainError, FieldRefusal


class OptOutNotFound(DomainError):
    """The account has no such opt-out."""

    code = "opt_out_not_found"

    def __init__(self) -> None:
        super().__init__("This account has no opt-out with this id.")


class ConsentRequired(FieldRefusal):
    """What the recipient said themselves is lifted with their consent only."""

    code = "consent_required"
    field = "consent"

    def __init__(self) -> None:
        super().__init__(
            "The recipient opted out themselves. Say how they agreed to receive messages again."
        )


class RecipientOptedOut(FieldRefusal):
    """The recipient asked not to hear of this sender."""

    code = "recipient_opted_out"
    field = "to"

    def __init__(self) -> None:
        super().__init__("The recipient asked not to receive messages of this sender.")
