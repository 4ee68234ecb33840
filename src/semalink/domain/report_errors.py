"""What is refused of delivery reports; the order is that of precedence."""

from semalink.domain.refusal import DomainError


class OrphanReportNotFound(DomainError):
    """No such report waits for its message."""

    code = "orphan_report_not_found"

    def __init__(self) -> None:
        super().__init__("No report with this id waits for its message; it may be settled.")


class ReportDoesNotFit(DomainError):
    """No aggregator can have the message."""

    code = "report_does_not_fit"

    def __init__(self) -> None:
        super().__init__("No aggregator took this message, so that no report is about it.")
