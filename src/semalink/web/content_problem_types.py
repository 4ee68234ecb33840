"""Errors of contents, sender ids and content rules: their status and what to do about them."""

from semalink.web.problem_type import ProblemType

#: One for each refusal of the module of content errors.
CONTENT_REFUSALS = (
    ProblemType(
        "sender_id_not_found",
        404,
        "No such sender id",
        "List the sender ids; ids begin with snd_ and are case-sensitive.",
    ),
    ProblemType(
        "content_rule_not_found",
        404,
        "No such content rule",
        "List the content rules; those of the platform's file are changed there.",
    ),
    ProblemType(
        "sender_id_in_other_state",
        409,
        "Sender id is in another state",
        "Read the sender id, and do what its state allows.",
    ),
    ProblemType(
        "too_many_sender_ids",
        409,
        "Too many sender ids wait",
        "Wait until those that you asked for are decided.",
    ),
    ProblemType(
        "too_many_content_rules",
        409,
        "Too many content rules",
        "Remove a rule that is no longer needed, or add to one that there is.",
    ),
    ProblemType(
        "outside_sending_window",
        422,
        "Not at this hour",
        "Send from earliest_send_at on with a new Idempotency-Key, or under a transactional "
        "sender id if the message is not promotional.",
        retryable=True,
    ),
)
