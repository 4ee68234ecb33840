"""Errors that the archive brings about."""

from semalink.web.problem_type import ProblemType

ARCHIVE_PROBLEMS = (
    ProblemType(
        "month_archived",
        409,
        "The month is archived",
        "Have operators restore the month that is named, and ask again.",
    ),
)
