"""Errors that opt-outs bring about."""

from semalink.web.problem_type import ProblemType

OPT_OUT_PROBLEMS = (
    ProblemType(
        "opt_out_not_found",
        404,
        "No such opt-out",
        "List the opt-outs of the account; ids begin with opt_ and are case-sensitive.",
    ),
    ProblemType(
        "consent_required",
        422,
        "Consent of the recipient needed",
        "Say in `consent` when and how the recipient agreed to receive messages again.",
    ),
    ProblemType(
        "recipient_opted_out",
        422,
        "Recipient opted out",
        "Take the number off your list; nothing was charged, and nothing would be delivered.",
    ),
)
