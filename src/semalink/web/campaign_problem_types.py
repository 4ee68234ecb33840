"""What can go wrong with campaigns: its status, its title and what to do about it."""

from semalink.web.problem_type import ProblemType

CAMPAIGN_PROBLEMS = (
    ProblemType(
        "campaign_not_found",
        404,
        "No such campaign",
        "List the campaigns; ids begin with cmp_ and are case-sensitive.",
    ),
    ProblemType(
        "campaign_state_conflict",
        409,
        "The campaign stands elsewhere",
        "Read the campaign; its state says what can be done with it.",
    ),
    ProblemType(
        "recipients_no_longer_kept",
        410,
        "Recipients are no longer kept",
        "Read the results, which remain; check a draft again.",
    ),
    ProblemType(
        "invalid_template",
        422,
        "The text is no template",
        "Write variables as {first_name}, and a brace that belongs to the text twice.",
    ),
    ProblemType(
        "unused_default",
        422,
        "A default for no variable",
        "Leave the default out, or use its variable in the text.",
    ),
    ProblemType(
        "unknown_time_zone",
        422,
        "No such time zone",
        'Use a name of the IANA list, as "Africa/Nairobi".',
    ),
    ProblemType(
        "invalid_local_time",
        422,
        "A time that cannot be told",
        "Write it as 2026-12-01T09:00, or with its offset where clocks jump or show it twice.",
    ),
    ProblemType(
        "pace_given_twice",
        422,
        "Two paces at once",
        "Give rate_per_second or finish_by, and null for the other.",
    ),
    ProblemType(
        "too_many_recipients",
        422,
        "Too many recipients",
        "Make several campaigns, or put the recipients into a contact list.",
    ),
    ProblemType(
        "no_recipients",
        422,
        "Nobody to be messaged",
        "Add contact lists or recipients; the quote tells who is left out and why.",
    ),
    ProblemType(
        "send_time_passed",
        422,
        "The time to send at has passed",
        "Edit send_at to a later time, or to null to send at once.",
    ),
    ProblemType(
        "validity_too_short",
        422,
        "The validity ends before the campaign does",
        "Edit validity_seconds, or choose a faster pace.",
    ),
    ProblemType(
        "finish_too_soon",
        422,
        "It cannot be finished by then",
        "Edit finish_by to a later time, or send_at to an earlier one.",
    ),
)
