import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from semalink.domain import (
    archive_errors,
    campaign_errors,
    contact_errors,
    content_errors,
    errors,
    opt_out_errors,
    report_errors,
)
from semalink.domain.errors import DomainError, FieldRefusal

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)

REFUSALS: list[tuple[DomainError, str, str | None]] = [
    (errors.AccountNotFound(), "account_not_found", None),
    (errors.ApiKeyNotFound(), "api_key_not_found", None),
    (errors.MessageNotFound(), "message_not_found", None),
    (errors.AdjustmentNotFound(), "adjustment_not_found", None),
    (errors.IdempotencyKeyReused(), "idempotency_key_reused", None),
    (errors.PaymentReferenceReused(), "payment_reference_reused", None),
    (errors.AgentRequired(), "agent_required", "/agent_id"),
    (errors.PaidByAgent(), "paid_by_agent", None),
    (errors.NotPaidByAgent(), "not_paid_by_agent", None),
    (errors.NotEnterprise(), "not_enterprise", None),
    (errors.NotAnAgent(), "not_an_agent", None),
    (errors.NotRelated(), "not_related", None),
    (errors.EntryNotFound(), "entry_not_found", None),
    (errors.StatementNotFound(), "statement_not_found", None),
    (errors.MonthNotClosed(), "month_not_closed", None),
    (errors.MonthNotFinished("2026-11"), "month_not_finished", None),
    (errors.MonthOutOfOrder("2026-10"), "month_out_of_order", None),
    (archive_errors.MonthArchived("2026-03"), "month_archived", None),
    (errors.SamePerson(), "same_person", None),
    (errors.AdjustmentDecided(), "adjustment_decided", None),
    (report_errors.OrphanReportNotFound(), "orphan_report_not_found", None),
    (report_errors.ReportDoesNotFit(), "report_does_not_fit", None),
    (errors.InvalidNumber("Too short."), "invalid_number", "/to"),
    (errors.UnsupportedDestination("TZ"), "unsupported_destination", "/to"),
    (errors.UnsupportedDestination(""), "unsupported_destination", "/to"),
    (errors.UnknownSender("SEMA"), "unknown_sender", "/sender"),
    (content_errors.SenderIdNotFound(), "sender_id_not_found", None),
    (content_errors.ContentRuleNotFound(), "content_rule_not_found", None),
    (
        content_errors.SenderIdInOtherState("requested", "Approve it."),
        "sender_id_in_other_state",
        None,
    ),
    (content_errors.TooManySenderIds(20), "too_many_sender_ids", None),
    (content_errors.TooManyContentRules(100), "too_many_content_rules", None),
    (
        content_errors.OutsideSendingWindow(
            "OFFERS", "KE", datetime(2026, 11, 3, 5, 0, tzinfo=UTC)
        ),
        "outside_sending_window",
        "/sender",
    ),
    (errors.EmptyText(), "empty_text", "/text"),
    (errors.TextTooLong(segments=11, segments_max=10), "text_too_long", "/text"),
    (errors.ContentBlocked("lottery"), "content_blocked", "/text"),
    (
        errors.SpendingCapReached(cap_micros=3, spent_micros=2, price_micros=2),
        "spending_cap_reached",
        None,
    ),
    (
        errors.InsufficientCredits(available_micros=1, price_micros=2),
        "insufficient_credits",
        None,
    ),
    (errors.CreditLimitTooLow(used_micros=5), "credit_limit_too_low", None),
    (errors.ReservationNotOpen(), "reservation_not_open", None),
    (errors.WebhookEndpointNotFound(), "webhook_endpoint_not_found", None),
    (errors.WebhookDeliveryNotFound(), "webhook_delivery_not_found", None),
    (errors.RecoveryNotFound(), "recovery_not_found", None),
    (errors.RecoveryEnded("cancelled"), "recovery_ended", None),
    (errors.TooManyRecoveries(5), "too_many_recoveries", None),
    (errors.WebhookEndpointDisabled(), "webhook_endpoint_disabled", None),
    (errors.WebhookDeliveryUnderWay(), "webhook_delivery_under_way", None),
    (errors.TooManyWebhookEndpoints(20), "too_many_webhook_endpoints", None),
    (errors.InvalidWebhookUrl("No host."), "invalid_webhook_url", "/url"),
    (errors.UnknownEventType(2), "unknown_event_type", "/event_types/2"),
    (errors.EventsNoLongerKept(7), "events_no_longer_kept", None),
    (errors.DeadLetterNotFound(), "dead_letter_not_found", None),
    (errors.DeadLetterJobNotFound(), "dead_letter_job_not_found", None),
    (errors.DeadLetterSettled("discarded"), "dead_letter_settled", None),
    (errors.DeadLetterJobEnded("finished"), "dead_letter_job_ended", None),
    (errors.PayloadTooLarge(16_384), "payload_too_large", "/payload"),
    (contact_errors.ContactListNotFound(), "contact_list_not_found", None),
    (contact_errors.ContactNotFound(), "contact_not_found", None),
    (contact_errors.ContactImportNotFound(), "contact_import_not_found", None),
    (contact_errors.ContactListBusy(), "contact_list_busy", None),
    (contact_errors.ContactImportEnded("finished"), "contact_import_ended", None),
    (contact_errors.TooManyContactImports(20), "too_many_contact_imports", None),
    (contact_errors.InvalidCompression("It is not gzip."), "invalid_compression", None),
    (contact_errors.InvalidEncoding(3, 9), "invalid_encoding", None),
    (contact_errors.UnclosedQuote(3), "unclosed_quote", None),
    (contact_errors.LineTooLong(3, 9), "line_too_long", None),
    (contact_errors.TooManyRows(9), "too_many_rows", None),
    (contact_errors.ContactFileEmpty(), "contact_file_empty", None),
    (contact_errors.NumberColumnMissing(None), "number_column_missing", None),
    (contact_errors.InvalidColumns("No."), "invalid_columns", None),
    (opt_out_errors.OptOutNotFound(), "opt_out_not_found", None),
    (opt_out_errors.ConsentRequired(), "consent_required", "/consent"),
    (opt_out_errors.RecipientOptedOut(), "recipient_opted_out", "/to"),
    (campaign_errors.CampaignNotFound(), "campaign_not_found", None),
    (campaign_errors.RecipientsNoLongerKept(), "recipients_no_longer_kept", None),
    (
        campaign_errors.CampaignStateConflict(state="draft", wanted="paused"),
        "campaign_state_conflict",
        None,
    ),
    (campaign_errors.InvalidTemplate("A brace."), "invalid_template", "/text"),
    (campaign_errors.UnusedDefault("name"), "unused_default", "/defaults"),
    (campaign_errors.UnknownTimeZone(), "unknown_time_zone", "/time_zone"),
    (
        campaign_errors.InvalidLocalTime("finish_by", "This is no time."),
        "invalid_local_time",
        "/finish_by",
    ),
    (campaign_errors.PaceGivenTwice(), "pace_given_twice", "/finish_by"),
    (campaign_errors.TooManyRecipients(5), "too_many_recipients", "/recipients"),
    (campaign_errors.NoRecipients(is_checked=True), "no_recipients", None),
    (campaign_errors.NoRecipients(is_checked=False), "no_recipients", None),
    (campaign_errors.SendTimePassed(NOON), "send_time_passed", "/send_at"),
    (campaign_errors.ValidityTooShort(90), "validity_too_short", "/validity_seconds"),
    (campaign_errors.FinishTooSoon(NOON), "finish_too_soon", "/finish_by"),
]


def refusal_classes(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for refusal in base.__subclasses__():
        if refusal.__module__.startswith("semalink.domain.") and refusal is not FieldRefusal:
            yield refusal
        yield from refusal_classes(refusal)


@pytest.mark.parametrize(("refusal", "code", "pointer"), REFUSALS)
def test_refusal_has_a_code_a_sentence_and_the_field_at_fault(
    refusal: DomainError, code: str, pointer: str | None
) -> None:
    sentence = str(refusal)

    assert refusal.code == code
    assert refusal.pointer == pointer
    assert re.fullmatch(r"[A-Z].+\.", sentence)


def test_every_refusal_is_listed_here() -> None:
    listed = {type(refusal) for refusal, _, _ in REFUSALS}

    assert listed == set(refusal_classes())


def test_every_refusal_has_a_code_of_its_own() -> None:
    codes = [refusal.code for refusal in refusal_classes()]

    assert len(codes) == len(set(codes))
