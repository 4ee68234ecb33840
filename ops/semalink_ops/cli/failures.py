"""What can go wrong in a command: what is said of it, and the exit status that it ends with."""

from typing import NoReturn

import rich_click as click
from click.exceptions import Exit

from semalink_ops.cli import exit_codes


class CommandFailed(click.ClickException):
    """Ends the command with a sentence for people and a status for programs."""

    def __init__(self, sentence: str, exit_code: int = exit_codes.FAILED) -> None:
        super().__init__(sentence)
        # Click documents it as settable, and annotates it as a constant of the class.
        self.exit_code = exit_code  # type: ignore[misc]


#: By qualified name, so that a command need not import what it does not use; the first base
#: class that is listed counts.
_EXIT_CODES = {
    "semalink.domain.errors.AccountNotFound": exit_codes.NOT_FOUND,
    "semalink.domain.errors.ApiKeyNotFound": exit_codes.NOT_FOUND,
    "semalink.domain.errors.MessageNotFound": exit_codes.NOT_FOUND,
    "semalink.domain.report_errors.OrphanReportNotFound": exit_codes.NOT_FOUND,
    "semalink.domain.report_errors.ReportDoesNotFit": exit_codes.CONFLICT,
    "semalink.domain.errors.StatementNotFound": exit_codes.NOT_FOUND,
    "semalink.domain.errors.DeadLetterNotFound": exit_codes.NOT_FOUND,
    "semalink.domain.errors.DeadLetterSettled": exit_codes.CONFLICT,
    "semalink.domain.errors.PayloadTooLarge": exit_codes.USAGE,
    "semalink.domain.webhook_errors.WebhookEndpointNotFound": exit_codes.NOT_FOUND,
    "semalink.domain.webhook_errors.WebhookDeliveryNotFound": exit_codes.NOT_FOUND,
    "semalink.domain.webhook_errors.RecoveryNotFound": exit_codes.NOT_FOUND,
    "semalink.domain.errors.IdempotencyKeyReused": exit_codes.CONFLICT,
    "semalink.domain.errors.PaymentReferenceReused": exit_codes.CONFLICT,
    "semalink.domain.archive_errors.MonthArchived": exit_codes.CONFLICT,
    "semalink.domain.refusal.DomainError": exit_codes.FAILED,
    "semalink.application.months.StatementAltered": exit_codes.FAILED,
    "semalink.application.ledger.LedgerUnavailable": exit_codes.UNAVAILABLE,
    "semalink.application.reading.ReadsUnavailable": exit_codes.UNAVAILABLE,
    "semalink.application.bus.BrokerUnfit": exit_codes.FAILED,
    "semalink.projections.rebuilding.RebuildUnderWay": exit_codes.CONFLICT,
    "semalink.projections.rebuilding.BuildOutdated": exit_codes.CONFLICT,
    "semalink.projections.rebuilding.SwapPutOff": exit_codes.UNAVAILABLE,
    "semalink.projections.comparing.LiveStandsStill": exit_codes.FAILED,
    "semalink.projections.verifying.NoSample": exit_codes.USAGE,
    "semalink_ops.settings.SettingsInvalid": exit_codes.USAGE,
    "semalink_ops.runtime.StopTookTooLong": exit_codes.FAILED,
    "semalink_ops.embedded.guarded.EmbeddedServerFailed": exit_codes.FAILED,
    "semalink_ops.embedded.ports.NoFreePort": exit_codes.FAILED,
    "semalink_ops.observability.tracing.TracesUnavailable": exit_codes.USAGE,
    "semalink_ops.ledger_tools.export_source.ExportImpossible": exit_codes.FAILED,
    "semalink_adapters.postgres.ledger_export.LedgerChanged": exit_codes.DIFFERENCES,
    "semalink_ops.webhook_worker.NoWebhookKey": exit_codes.USAGE,
    "semalink_ops.up.failures.UpFailed": exit_codes.FAILED,
    "semalink_adapters.archive.store.ArchiveUnavailable": exit_codes.UNAVAILABLE,
    "semalink_adapters.archive.manifest.ArchiveAltered": exit_codes.DIFFERENCES,
    "semalink_adapters.postgres.archived_months.ArchiveBusy": exit_codes.CONFLICT,
    "semalink_adapters.postgres.archived_months.ReadModelBusy": exit_codes.CONFLICT,
    "semalink_adapters.postgres.detaching.DetachPutOff": exit_codes.UNAVAILABLE,
    "semalink_ops.archiving.calendar.NoMonth": exit_codes.USAGE,
    "semalink_ops.archiving.months.ArchiveForeign": exit_codes.CONFLICT,
    "semalink_ops.archiving.months.MonthBlocked": exit_codes.CONFLICT,
    "semalink_ops.archiving.months.MonthChanged": exit_codes.CONFLICT,
    "semalink_ops.archiving.months.MonthElsewhere": exit_codes.CONFLICT,
    "semalink_ops.archiving.restoring.MonthForeign": exit_codes.CONFLICT,
    "semalink_ops.archiving.reading.NoArchiveUrl": exit_codes.USAGE,
    "psycopg.OperationalError": exit_codes.UNAVAILABLE,
    "sqlalchemy.exc.OperationalError": exit_codes.UNAVAILABLE,
    "aiohttp.client_exceptions.ClientError": exit_codes.UNAVAILABLE,
}


def to_command_failed(error: Exception) -> CommandFailed | None:
    """Return how a command ends on an error that can happen to it; None when it is a bug."""
    for kind in type(error).__mro__:
        exit_code = _EXIT_CODES.get(f"{kind.__module__}.{kind.__qualname__}")
        if exit_code is not None:
            # SQLAlchemy wraps what the driver says into advice for programmers.
            said = str(getattr(error, "orig", None) or error).strip()
            return CommandFailed(said or type(error).__name__, exit_code)
    return None


def fail(sentence: str, exit_code: int = exit_codes.FAILED) -> NoReturn:
    """End the command."""
    raise CommandFailed(sentence, exit_code)


def end_with(exit_code: int) -> NoReturn:
    """End the command without a word: what there is to say was said."""
    raise Exit(exit_code)
