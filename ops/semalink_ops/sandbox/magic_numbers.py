"""Numbers that act out each final state, and each accident on the way to it."""

from enum import StrEnum


class Act(StrEnum):
    """What happens to a message; decided by its number alone."""

    DELIVERED = "delivered"
    ABSENT = "absent"
    BLACKLISTED = "blacklisted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    STALLED = "stalled"
    DUPLICATE_REPORT = "duplicate_report"
    REPORT_BEFORE_ANSWER = "report_before_answer"
    OUT_OF_ORDER = "out_of_order"
    TIMEOUT_THEN_DELIVERED = "timeout_then_delivered"
    UNRECOGNISED_STATUS = "unrecognised_status"
    INVALID_NUMBER = "invalid_number"
    NO_PROVIDER_CREDIT = "no_provider_credit"
    INVALID_SENDER = "invalid_sender"
    FAILED = "failed"
    FAILED_THEN_DELIVERED = "failed_then_delivered"
    UNKNOWN = "unknown"
    NO_REPORT = "no_report"
    #: Celcom does not serve the number and Africa's Talking does.
    FAIL_OVER = "fail_over"
    PASSING_FAULT = "passing_fault"
    UNREADABLE_ANSWER = "unreadable_answer"


#: The last three digits, after any of PREFIXES.
ACT_BY_ENDING = {
    "101": Act.DELIVERED,
    "102": Act.ABSENT,
    "103": Act.BLACKLISTED,
    "104": Act.REJECTED,
    "105": Act.EXPIRED,
    "106": Act.STALLED,
    "107": Act.DUPLICATE_REPORT,
    "108": Act.REPORT_BEFORE_ANSWER,
    "109": Act.OUT_OF_ORDER,
    "110": Act.TIMEOUT_THEN_DELIVERED,
    "111": Act.UNRECOGNISED_STATUS,
    "112": Act.INVALID_NUMBER,
    "113": Act.NO_PROVIDER_CREDIT,
    "114": Act.INVALID_SENDER,
    "115": Act.FAILED,
    "116": Act.FAILED_THEN_DELIVERED,
    "117": Act.UNKNOWN,
    "118": Act.NO_REPORT,
    "119": Act.FAIL_OVER,
    "120": Act.PASSING_FAULT,
    "121": Act.UNREADABLE_ANSWER,
}

#: Kenya, Uganda, Tanzania; with an ending each makes a valid mobile number of its country.
PREFIXES = ("+254700000", "+256770000", "+255754000")

ACT_BY_NUMBER = {
    prefix + ending: act for prefix in PREFIXES for ending, act in ACT_BY_ENDING.items()
}


def act_of(number: str) -> Act:
    """Look up what a number acts out; every number that is not magic is delivered."""
    return ACT_BY_NUMBER.get(number, Act.DELIVERED)
