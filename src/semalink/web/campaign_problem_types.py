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
)
