"""What a delivery report changes: the message's state and, by rule, its money."""

from dataclasses import dataclass
from uuid import UUID

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.message_money import take_receipt
from semalink.application.ports import DeliveryReport, Receipt, ReportState
from semalink.domain import message_steps
from semalink.domain.calendar import month_of
from semalink.domain.cause import Cause
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.message import Ending, Message
from semalink.domain.networks import network_of_code
from semalink.domain.refunds import is_refunded
from semalink.domain.status import Status

_SettledEnding = type[message_steps.Failed | message_steps.Rejected | message_steps.Expired]

_ENDINGS: dict[ReportState, tuple[_SettledEnding, str]] = {
    ReportState.FAILED: (message_steps.Failed, "delivery_failed"),
    ReportState.REJECTED: (message_steps.Rejected, "rejected_by_operator"),
    ReportState.EXPIRED: (message_steps.Expired, "validity_expired"),
}


@dataclass(frozen=True, slots=True)
class RecordReport(PlainCommand):
    """Apply one report to the message that it is about."""

    message_id: UUID
    billing_account_id: UUID
    aggregator: str
    report: DeliveryReport
    cause: Cause
    #: Whose reservation pays when the message is not charged yet; None: its own.
    campaign_id: UUID | None = None

    def needs(self, needs: Needs) -> None:
        """The message, and the credits that a refund goes back to."""
        needs.messages.add(self.message_id)
        needs.credit_accounts.add(self.billing_account_id)
        needs.reservations.add(self.campaign_id or self.message_id)

    def decide(self, books: Books) -> Status:
        """Move the message on; a repetition or an older report changes nothing."""
        message = books.message(self.message_id)
        if message.reference is None and not message.is_final:
            # The aggregator has it, whatever became of its answer: it is charged like any other.
            self._adopt(books, message)
        ending = _ENDINGS.get(self.report.state)
        if self.report.state is ReportState.DELIVERED:
            network = network_of_code(self.report.network)
            message.deliver(self.report.description, network, self.cause)
        elif ending is not None:
            kind, default_code = ending
            end_submitted(
                books,
                message,
                kind,
                self.report.failure_code or default_code,
                self.cause,
                description=self.report.description,
            )
        else:
            message.note_report(self.report.state, self.report.description, self.cause)
        return message.status

    def _adopt(self, books: Books, message: Message) -> None:
        receipt = Receipt(self.report.reference, self.report.network)
        take_receipt(books, message, message.attempt, self.aggregator, receipt, self.cause)


def end_submitted(
    books: Books,
    message: Message,
    ending: Ending,
    failure_code: str,
    cause: Cause,
    *,
    description: str = "",
) -> None:
    """End a message short of delivery; what was charged goes back, once, where the rule says so."""
    if not message.may_end():
        return
    refunded_micros = 0
    rule = message.asked.refunded_on
    if is_refunded(ending.STATUS, rule, failure_code=failure_code):
        refunded_micros = message.charged_micros - message.refunded_micros
    if refunded_micros:
        _refund(books, message, cause)
    message.end(
        ending,
        failure_code,
        cause,
        description=description,
        refunded_micros=refunded_micros,
    )


def _refund(books: Books, message: Message, cause: Cause) -> None:
    asked = message.asked
    on_behalf = None
    if asked.account_id != asked.billing_account_id:
        month = asked.spending_month or month_of(message.created_on)
        on_behalf = OnBehalf(asked.account_id, asked.price_micros, month)
    of_campaign = {}
    if asked.campaign_id is not None:
        of_campaign = {"message_id": message.id, "campaign_id": asked.campaign_id}
    books.credit_account(asked.billing_account_id).refund(
        message.reservation_id,
        asked.price_micros if asked.cost_micros is None else asked.cost_micros,
        cause,
        charge_version=message.charge_version,
        on_behalf=on_behalf,
        **of_campaign,
    )
