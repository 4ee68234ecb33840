"""Why a message failed, in stable words: what happened, who can mend it, whether to try again."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Fixer(StrEnum):
    """Who can do something about a failure."""

    CUSTOMER = "customer"
    RECIPIENT = "recipient"
    PLATFORM = "platform"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class FailureWords:
    """What the API says about one failure code."""

    #: One sentence for the customer.
    detail: str
    who_can_fix: Fixer
    #: Whether sending the same message again, later, may succeed.
    retryable: bool


#: Every failure code with its words; codes are added, never renamed.
FAILURES: Mapping[str, FailureWords] = MappingProxyType(
    {
        # The recipient.
        "invalid_number": FailureWords(
            "The number is not one that can receive messages.", Fixer.CUSTOMER, retryable=False
        ),
        "unsupported_number_type": FailureWords(
            "The number is not of a mobile phone.", Fixer.CUSTOMER, retryable=False
        ),
        "opted_out": FailureWords(
            "The recipient asked not to receive messages of this sender.",
            Fixer.RECIPIENT,
            retryable=False,
        ),
        "do_not_disturb": FailureWords(
            "The recipient does not receive messages of this kind at this hour.",
            Fixer.CUSTOMER,
            retryable=True,
        ),
        "outside_sending_window": FailureWords(
            "Messages of this kind are not allowed at this hour.", Fixer.CUSTOMER, retryable=True
        ),
        "absent_subscriber": FailureWords(
            "The recipient's phone could not be reached: off, away, or its SIM is inactive.",
            Fixer.RECIPIENT,
            retryable=True,
        ),
        "subscriber_inactive": FailureWords(
            "The recipient's line is inactive.", Fixer.RECIPIENT, retryable=False
        ),
        "subscriber_suspended": FailureWords(
            "The operator suspended the recipient's line.", Fixer.RECIPIENT, retryable=False
        ),
        "subscriber_unknown": FailureWords(
            "The operator has no subscriber with this number.", Fixer.CUSTOMER, retryable=False
        ),
        "subscriber_out_of_credit": FailureWords(
            "The recipient lacks the airtime that this message costs them.",
            Fixer.RECIPIENT,
            retryable=True,
        ),
        "not_subscribed": FailureWords(
            "The recipient is not subscribed to this service.", Fixer.RECIPIENT, retryable=False
        ),
        "wrong_network": FailureWords(
            "The number does not belong to the network that the message was sent to.",
            Fixer.PLATFORM,
            retryable=True,
        ),
        # The message.
        "content_refused": FailureWords(
            "The content of the message was refused.", Fixer.CUSTOMER, retryable=False
        ),
        "sender_not_registered": FailureWords(
            "The sender id is not registered with the recipient's operator.",
            Fixer.PLATFORM,
            retryable=False,
        ),
        "invalid_link": FailureWords(
            "The message answers a request that the operator does not know.",
            Fixer.PLATFORM,
            retryable=False,
        ),
        # The operator.
        "delivery_impossible": FailureWords(
            "The operator cannot deliver to this number: inactive, blocked or moved away.",
            Fixer.NOBODY,
            retryable=False,
        ),
        "delivery_failed": FailureWords(
            "The operator could not deliver the message and gave no closer reason.",
            Fixer.NOBODY,
            retryable=True,
        ),
        "rejected_by_operator": FailureWords(
            "The operator refused the message and gave no closer reason.",
            Fixer.PLATFORM,
            retryable=False,
        ),
        "discarded_by_operator": FailureWords(
            "The operator discarded the message because of its content or its sender.",
            Fixer.CUSTOMER,
            retryable=False,
        ),
        "validity_expired": FailureWords(
            "The operator tried until the message expired.", Fixer.RECIPIENT, retryable=True
        ),
        "status_unknown_to_operator": FailureWords(
            "The operator says that it does not know what became of the message.",
            Fixer.NOBODY,
            retryable=False,
        ),
        # The providers and the platform.
        "no_route": FailureWords(
            "No provider could carry a message to this number.", Fixer.PLATFORM, retryable=True
        ),
        "held_by_provider": FailureWords(
            "The provider held the message back for review.", Fixer.PLATFORM, retryable=False
        ),
        "provider_out_of_credit": FailureWords(
            "The provider could not take the message until the platform pays it.",
            Fixer.PLATFORM,
            retryable=True,
        ),
        "provider_misconfigured": FailureWords(
            "The platform's settings at the provider are wrong.", Fixer.PLATFORM, retryable=True
        ),
        "provider_fault": FailureWords(
            "The provider had a passing fault.", Fixer.PLATFORM, retryable=True
        ),
        "provider_unreachable": FailureWords(
            "The provider could not be reached.", Fixer.PLATFORM, retryable=True
        ),
        "provider_busy": FailureWords(
            "The provider took no more messages at that moment.", Fixer.PLATFORM, retryable=True
        ),
        "platform_fault": FailureWords(
            "The provider did not understand the platform, or the platform the provider.",
            Fixer.PLATFORM,
            retryable=False,
        ),
        "expired_in_queue": FailureWords(
            "The time to live ended before the message could be sent.",
            Fixer.PLATFORM,
            retryable=True,
        ),
        "campaign_cancelled": FailureWords(
            "The campaign was cancelled before the message was sent.",
            Fixer.CUSTOMER,
            retryable=False,
        ),
        "outcome_unknown": FailureWords(
            "The provider gave no readable answer: the message was sent or it was not.",
            Fixer.NOBODY,
            retryable=False,
        ),
        "no_delivery_report": FailureWords(
            "The message was sent and no final report on it ever came.",
            Fixer.NOBODY,
            retryable=False,
        ),
    }
)

#: Words for a code that this release does not list, so that no old event is unreadable.
UNLISTED = FailureWords("The message failed.", Fixer.PLATFORM, retryable=False)

_BY_CLASS: Mapping[str, str] = MappingProxyType(
    {
        "recipient": "invalid_number",
        "opted_out": "opted_out",
        "window": "outside_sending_window",
        "content": "content_refused",
        "route": "no_route",
        "held": "held_by_provider",
        "configuration": "provider_misconfigured",
        "provider_credit": "provider_out_of_credit",
        "transient": "provider_fault",
        "bug": "platform_fault",
    }
)

#: Closer words for some codes of the providers; a class alone would hide what is known.
_BY_PROVIDER_CODE: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("configuration", "1001"): "sender_not_registered",
        ("configuration", "InvalidSenderId"): "sender_not_registered",
        ("recipient", "UnsupportedNumberType"): "unsupported_number_type",
        ("window", "DoNotDisturbRejection"): "do_not_disturb",
        ("transient", "HTTP 429"): "provider_busy",
        ("transient", "unreachable"): "provider_unreachable",
    }
)


def describe(code: str) -> FailureWords:
    """Return the words for a failure code; plain ones for a code that is not listed."""
    return FAILURES.get(code, UNLISTED)


def submit_failure_code(failure_class: str, provider_code: str) -> str:
    """Return the failure code for a refused submission, from its class and the provider's code."""
    assert failure_class in _BY_CLASS, "every failure class has a failure code"
    specific = _BY_PROVIDER_CODE.get((failure_class, provider_code))
    return specific or _BY_CLASS[failure_class]
