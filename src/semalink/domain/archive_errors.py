"""What cannot be answered because a month was archived."""

from semalink.domain.errors import DomainError


class MonthArchived(DomainError):
    """Sums over messages need a month that is in the archive."""

    code = "month_archived"

    def __init__(self, month: str) -> None:
        super().__init__(
            f"The messages of {month} are archived; they can be added up again after"
            f" `semalink archive restore {month} --log message_events`."
        )
