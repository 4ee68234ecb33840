"""Every metric, declared once: its name, kind, labels and meaning."""

from semalink_ops.observability import campaign_declarations, task_declarations
from semalink_ops.observability.archive_declarations import ARCHIVE
from semalink_ops.observability.declared import Declared, Kind

_REQUEST_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
_PROVIDER_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_WAIT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1_800.0)
_COMMIT_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0)
_BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

HTTP_REQUEST_SECONDS = Declared(
    "http_server_request_duration_seconds",
    Kind.HISTOGRAM,
    "Time to answer a request; the route is its template, or `unmatched`.",
    ("route", "method", "code"),
    _REQUEST_BUCKETS,
)
ACCOUNTS_LOW = Declared(
    "semalink_accounts_low_credit",
    Kind.GAUGE,
    "Accounts with less than a fifth of their credit limit left.",
)
RESERVATIONS_EXPIRED = Declared(
    "semalink_reservations_expired_total",
    Kind.COUNTER,
    "Reservations that were given back because nobody resolved them in time.",
)
ACCEPT_TO_SUBMIT_SECONDS = Declared(
    "semalink_accept_to_submit_seconds",
    Kind.HISTOGRAM,
    "Time from accepting a message until an aggregator took it.",
    ("lane",),
    _WAIT_BUCKETS,
)
MESSAGES = Declared(
    "semalink_messages_total",
    Kind.COUNTER,
    "Messages that reached a state, as the projector read it from the event log.",
    ("state",),
)
PROVIDER_SUBMIT_SECONDS = Declared(
    "semalink_provider_submit_seconds",
    Kind.HISTOGRAM,
    "Time that an aggregator took to answer, whatever it answered.",
    ("provider",),
    _PROVIDER_BUCKETS,
)
PROVIDER_ERRORS = Declared(
    "semalink_provider_errors_total",
    Kind.COUNTER,
    "Submissions that an aggregator refused or left unanswered, by class of failure.",
    ("provider", "class"),
)
ROUTE_OUT_OF_USE = Declared(
    "semalink_route_out_of_use",
    Kind.GAUGE,
    "1 while a route, or one network of it, rests because too much failed; network `all` is the "
    "whole route.",
    ("route", "network"),
)
ROUTE_TRIPS = Declared(
    "semalink_route_trips_total",
    Kind.COUNTER,
    "Times that a route, or one network of it, was taken out of use.",
    ("route", "cause"),
)
OUTBOX_OLDEST_AGE_SECONDS = Declared(
    "semalink_outbox_oldest_age_seconds",
    Kind.GAUGE,
    "Age of the oldest event that the relay has yet to publish; 0 when there is none.",
)
OUTBOX_PUBLISHED = Declared(
    "semalink_outbox_published_total",
    Kind.COUNTER,
    "Messages that the broker stored; those it had before are not counted again.",
    ("queue",),
)
PUBLISH_FAILURES = Declared(
    "semalink_publish_failures_total",
    Kind.COUNTER,
    "Messages not known to be stored by the broker; the relay publishes them again.",
    ("queue",),
)
PROJECTION_LAG_SECONDS = Declared(
    "semalink_projection_lag_seconds",
    Kind.GAUGE,
    "Age of the oldest event that a read model does not show yet; 0 when there is none.",
    ("projection",),
)
FEED_EVENTS = Declared(
    "semalink_feed_events_total",
    Kind.COUNTER,
    "Events that were added to the feeds of accounts.",
)
FEED_DELIVERIES = Declared(
    "semalink_feed_deliveries_total",
    Kind.COUNTER,
    "Deliveries to webhook endpoints that the feed began.",
)
PROJECTION_FAILING = Declared(
    "semalink_projection_failing",
    Kind.GAUGE,
    "1 while a read model stands still at an event that it fails at, else 0.",
    ("projection",),
)
CONSUMER_PENDING = Declared(
    "semalink_consumer_pending",
    Kind.GAUGE,
    "What waits in a queue, in the hands of workers included; told by the relay that leads.",
    ("queue",),
)
CONSUMER_DELIVERIES = Declared(
    "semalink_consumer_deliveries_total",
    Kind.COUNTER,
    "Messages and reports taken from a queue, each time they were taken.",
    ("queue",),
)
CONSUMER_REDELIVERIES = Declared(
    "semalink_consumer_redeliveries_total",
    Kind.COUNTER,
    "Messages given back to their queue, to be delivered again.",
    ("queue",),
)
CONSUMER_HANDLER_SECONDS = Declared(
    "semalink_consumer_handler_seconds",
    Kind.HISTOGRAM,
    "Time that the work on one delivery took, whatever became of it.",
    ("queue",),
    _PROVIDER_BUCKETS,
)
DEAD_LETTERS = Declared(
    "semalink_dead_letters_total",
    Kind.COUNTER,
    "Messages that were given up.",
    ("queue",),
)
DEAD_LETTERS_WAITING = Declared(
    "semalink_dead_letters_waiting",
    Kind.GAUGE,
    "Dead letters that nobody republished or discarded; told by the relay that leads.",
    ("queue",),
)
DEAD_LETTERS_OLDEST_AGE_SECONDS = Declared(
    "semalink_dead_letters_oldest_age_seconds",
    Kind.GAUGE,
    "Age of the oldest dead letter that waits; 0 when none does.",
    ("queue",),
)
QUEUE_STUCK = Declared(
    "semalink_queue_stuck",
    Kind.GAUGE,
    "Messages of a queue that no worker will be given; the relay moves them to the dead letters.",
    ("queue",),
)
LEDGER_BATCH_SIZE = Declared(
    "semalink_ledger_batch_size",
    Kind.HISTOGRAM,
    "Commands decided in one transaction.",
    (),
    _BATCH_BUCKETS,
)
LEDGER_COMMIT_SECONDS = Declared(
    "semalink_ledger_commit_seconds",
    Kind.HISTOGRAM,
    "Time to decide a batch and commit it.",
    (),
    _COMMIT_BUCKETS,
)
LEDGER_WAITING = Declared(
    "semalink_ledger_waiting",
    Kind.GAUGE,
    "Commands that wait to be taken into a batch.",
)
REPORTS = Declared(
    "semalink_reports_total",
    Kind.COUNTER,
    "Delivery reports received, by the state that they tell.",
    ("aggregator", "state"),
)
REPORTS_SHELVED = Declared(
    "semalink_reports_shelved",
    Kind.GAUGE,
    "Delivery reports kept for a message that is not known, or not known yet; told by the DLR "
    "worker.",
)
REPORTS_AWAITED = Declared(
    "semalink_reports_awaited",
    Kind.GAUGE,
    "Messages that an aggregator took and whose final report has not come; told by the DLR worker.",
    ("aggregator",),
)
REPORT_POLLS = Declared(
    "semalink_report_polls_total",
    Kind.COUNTER,
    "Questions for reports that did not come, by what they brought: news, nothing_new, none_yet or "
    "failed.",
    ("aggregator", "result"),
)
REPORTS_TIMED_OUT = Declared(
    "semalink_reports_timed_out_total",
    Kind.COUNTER,
    "Messages that ended as unknown because no final report came in time.",
    ("aggregator",),
)
CHECKPOINT_AGE_SECONDS = Declared(
    "semalink_checkpoint_age_seconds",
    Kind.GAUGE,
    "Time since the relay last knew all credits to be in a signed checkpoint; 0 without a key.",
)
WEBHOOK_ATTEMPTS = Declared(
    "semalink_webhook_attempts_total",
    Kind.COUNTER,
    "Attempts at customers' endpoints: `delivered`, or the class of what went wrong.",
    ("result",),
)
WEBHOOK_ATTEMPT_SECONDS = Declared(
    "semalink_webhook_attempt_seconds",
    Kind.HISTOGRAM,
    "Time from dialling an endpoint until its answer was read, or was given up.",
    ("result",),
    _PROVIDER_BUCKETS,
)
WEBHOOKS_PUT_OFF = Declared(
    "semalink_webhooks_put_off_total",
    Kind.COUNTER,
    "Attempts that a worker did not make because their endpoints are slow; they cost no retry.",
)
WEBHOOKS_HELD = Declared(
    "semalink_webhooks_held",
    Kind.GAUGE,
    "Deliveries that are due and not sent, because their endpoint is paused, disabled or left "
    "alone, counted up to 100,000; told by the relay that dispatches.",
)
WEBHOOK_BREAKERS_OPENED = Declared(
    "semalink_webhook_breakers_opened_total",
    Kind.COUNTER,
    "Times that an endpoint was left alone for a while because it failed.",
)
WEBHOOK_ENDPOINTS_DISABLED = Declared(
    "semalink_webhook_endpoints_disabled_total",
    Kind.COUNTER,
    "Endpoints that are sent nothing more because they failed for days.",
)
WEBHOOK_OWNERS_WARNED = Declared(
    "semalink_webhook_owners_warned_total",
    Kind.COUNTER,
    "Warnings to owners that an endpoint will be disabled.",
)
LOOP_LAG_SECONDS = Declared(
    "semalink_loop_lag_seconds",
    Kind.GAUGE,
    "How late the event loop woke at worst in the last 15 seconds.",
)

RATE_CHECKS = Declared(
    "semalink_rate_checks_total",
    Kind.COUNTER,
    "Requests of customers that a rate limit let in or refused, by the tier of the account.",
    ("tier", "outcome"),
)
RATE_LEASE_SECONDS = Declared(
    "semalink_rate_lease_seconds",
    Kind.HISTOGRAM,
    "Time to lease tokens of rate limits from the database.",
    (),
    _COMMIT_BUCKETS,
)
RATE_LEASE_FAILURES = Declared(
    "semalink_rate_lease_failures_total",
    Kind.COUNTER,
    "Leases that the database did not answer; the process then limits by itself for a second.",
)
CONTENT_RULE_MATCHES = Declared(
    "semalink_content_rule_matches_total",
    Kind.COUNTER,
    "Messages that a content rule blocked or, in shadow mode, would have blocked.",
    ("rule", "mode"),
)

TURNS_WAITING = Declared(
    "semalink_turns_waiting_messages",
    Kind.GAUGE,
    "Normal messages that wait for a turn of their account; the active relay counts them.",
)
TURNS_ACCOUNTS = Declared(
    "semalink_turns_waiting_accounts",
    Kind.GAUGE,
    "Accounts of which normal messages wait for a turn.",
)
TURNS_SHARE = Declared(
    "semalink_turns_share",
    Kind.GAUGE,
    "Normal messages that one account has in the queue at most, as the workers keep up.",
)

DECLARED = (
    ACCOUNTS_LOW,
    RESERVATIONS_EXPIRED,
    HTTP_REQUEST_SECONDS,
    ACCEPT_TO_SUBMIT_SECONDS,
    MESSAGES,
    PROVIDER_SUBMIT_SECONDS,
    PROVIDER_ERRORS,
    ROUTE_OUT_OF_USE,
    ROUTE_TRIPS,
    OUTBOX_OLDEST_AGE_SECONDS,
    OUTBOX_PUBLISHED,
    PUBLISH_FAILURES,
    TURNS_WAITING,
    TURNS_ACCOUNTS,
    TURNS_SHARE,
    PROJECTION_LAG_SECONDS,
    PROJECTION_FAILING,
    FEED_EVENTS,
    FEED_DELIVERIES,
    CONSUMER_PENDING,
    CONSUMER_DELIVERIES,
    CONSUMER_REDELIVERIES,
    CONSUMER_HANDLER_SECONDS,
    DEAD_LETTERS,
    DEAD_LETTERS_WAITING,
    DEAD_LETTERS_OLDEST_AGE_SECONDS,
    QUEUE_STUCK,
    LEDGER_BATCH_SIZE,
    LEDGER_COMMIT_SECONDS,
    LEDGER_WAITING,
    REPORTS,
    REPORTS_SHELVED,
    REPORTS_AWAITED,
    REPORT_POLLS,
    REPORTS_TIMED_OUT,
    CHECKPOINT_AGE_SECONDS,
    WEBHOOK_ATTEMPTS,
    WEBHOOK_ATTEMPT_SECONDS,
    WEBHOOKS_PUT_OFF,
    WEBHOOKS_HELD,
    WEBHOOK_BREAKERS_OPENED,
    WEBHOOK_ENDPOINTS_DISABLED,
    WEBHOOK_OWNERS_WARNED,
    LOOP_LAG_SECONDS,
    RATE_CHECKS,
    RATE_LEASE_SECONDS,
    RATE_LEASE_FAILURES,
    CONTENT_RULE_MATCHES,
    *ARCHIVE,
    *campaign_declarations.DECLARED,
    *task_declarations.DECLARED,
)

#: Read from the operating system by the client library, not declared to it.
OF_THE_PROCESS = (
    Declared("process_resident_memory_bytes", Kind.GAUGE, "Memory in use."),
    Declared("process_virtual_memory_bytes", Kind.GAUGE, "Memory set aside."),
    Declared("process_cpu_seconds_total", Kind.COUNTER, "Processor time used."),
    Declared("process_start_time_seconds", Kind.GAUGE, "When it started, since 1970."),
    Declared("process_open_fds", Kind.GAUGE, "Open file descriptors."),
    Declared("process_max_fds", Kind.GAUGE, "How many may be open."),
)


def reference_page() -> str:
    """Return `docs/reference/metrics.md`, one row a metric."""
    rows = [_row(metric) for metric in (*DECLARED, *OF_THE_PROCESS)]
    return "\n".join([*_HEAD, *rows, ""])


_HEAD = (
    "# Metrics",
    "",
    "Every process answers them at `/metrics`, each for itself.",
    "This page is written from `semalink_ops/observability/declarations.py`; change it there.",
    "No label holds a number, a text, a key or an account.",
    "",
    "| Name | Kind | Labels | Meaning |",
    "| --- | --- | --- | --- |",
)


def _row(metric: Declared) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels or 'none'} | {metric.meaning} |"
