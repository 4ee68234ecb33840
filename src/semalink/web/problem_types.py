"""Every error that a client can meet: its status, its title and what to do about it."""

from semalink.web.archive_problem_types import ARCHIVE_PROBLEMS
from semalink.web.campaign_problem_types import CAMPAIGN_PROBLEMS
from semalink.web.contact_problem_types import CONTACT_PROBLEMS
from semalink.web.content_problem_types import CONTENT_REFUSALS
from semalink.web.edge_problem_types import EDGE_PROBLEMS
from semalink.web.opt_out_problem_types import OPT_OUT_PROBLEMS
from semalink.web.problem_type import ProblemType

#: What the platform refuses for good reason, one for each DomainError.
REFUSALS = (
    *CAMPAIGN_PROBLEMS,
    *CONTENT_REFUSALS,
    *OPT_OUT_PROBLEMS,
    ProblemType(
        "orphan_report_not_found",
        404,
        "No such report on the shelf",
        "List the orphans; one that found its message, or was settled, is no longer there.",
    ),
    ProblemType(
        "report_does_not_fit",
        409,
        "Report and message do not fit",
        "Name a message that an aggregator took, or whose answer was lost.",
    ),
    ProblemType(
        "webhook_endpoint_not_found",
        404,
        "No such webhook endpoint",
        "List the endpoints; ids begin with whe_ and are case-sensitive.",
    ),
    ProblemType(
        "webhook_delivery_not_found",
        404,
        "No such webhook delivery",
        "List the deliveries; ids begin with whk_ and are case-sensitive.",
    ),
    ProblemType(
        "recovery_not_found",
        404,
        "No such recovery",
        "List the recoveries of the endpoint; ids begin with rcv_ and are case-sensitive.",
    ),
    ProblemType(
        "webhook_endpoint_disabled",
        409,
        "The endpoint is disabled",
        "Mend the endpoint, resume it, and ask again.",
    ),
    ProblemType(
        "webhook_delivery_under_way",
        409,
        "The delivery is under way",
        "Wait for its next attempt, or resume its endpoint if that is paused.",
        retryable=True,
    ),
    ProblemType(
        "too_many_recoveries",
        409,
        "Too many recoveries are under way",
        "Wait until a recovery of the endpoint has ended, or cancel one.",
        retryable=True,
    ),
    ProblemType(
        "recovery_ended",
        409,
        "The recovery has ended",
        "Start another recovery for what is still missing; this one changes no more.",
    ),
    ProblemType(
        "too_many_webhook_endpoints",
        409,
        "Too many webhook endpoints",
        "Remove an endpoint that is not used, or let one endpoint take more event types.",
    ),
    ProblemType(
        "invalid_webhook_url",
        422,
        "Address is not allowed",
        "Use an https address on port 443 or 8443 that everybody can reach.",
    ),
    ProblemType(
        "unknown_event_type",
        422,
        "No such event type",
        "Choose among the names of `GET /v1/event-types`, with `*` or `message.*` for many.",
    ),
    ProblemType(
        "events_no_longer_kept",
        410,
        "Events are no longer kept",
        "Go on from the oldest event that is kept; the answer names it.",
    ),
    ProblemType(
        "account_not_found",
        404,
        "No such account",
        "Check the account id. Ids begin with acct_ and are case-sensitive.",
    ),
    ProblemType(
        "api_key_not_found",
        404,
        "No such API key",
        "List the keys of the account; a key that was revoked cannot be revoked again.",
    ),
    ProblemType(
        "message_not_found",
        404,
        "No such message",
        "Check the message id, and that the key is of the account and the mode that sent it.",
    ),
    ProblemType(
        "adjustment_not_found",
        404,
        "No such adjustment",
        "List the adjustments; ids begin with adj_ and are case-sensitive.",
    ),
    ProblemType(
        "entry_not_found",
        404,
        "No such ledger entry",
        "List the entries; they are numbered from 1 within each account.",
    ),
    ProblemType(
        "statement_not_found",
        404,
        "No such statement",
        "List the statements of the account; a month in which nothing happened may have none.",
    ),
    ProblemType(
        "month_not_closed",
        409,
        "No statement of this month yet",
        "Ask for a month that has begun. If it has too many entries, list GET /v1/ledger/entries.",
        retryable=True,
    ),
    ProblemType(
        "month_not_finished",
        409,
        "The month is not over",
        "Close the month when it has ended in East Africa Time (UTC+3).",
        retryable=True,
    ),
    ProblemType(
        "month_out_of_order",
        409,
        "Another month comes first",
        "Close the month that the answer names; months are closed in order.",
    ),
    ProblemType(
        "idempotency_key_reused",
        422,
        "Idempotency-Key used for another request",
        "Send a new key with a new request; repeat a key only with the very same body.",
    ),
    ProblemType(
        "payment_reference_reused",
        409,
        "Payment reference used for another top-up",
        "Look up what the payment was credited to before; each payment is credited once.",
    ),
    ProblemType(
        "agent_required",
        422,
        "Customer and agent do not fit",
        "Name an agent for a customer, and none for any other kind of account.",
    ),
    ProblemType(
        "paid_by_agent",
        409,
        "Its agent pays",
        "Change the credits of the agent, or open a customer that pays for itself.",
    ),
    ProblemType(
        "not_paid_by_agent",
        409,
        "It pays for itself",
        "Caps are for customers whose agent pays; others are bounded by their own credits.",
    ),
    ProblemType(
        "not_enterprise",
        409,
        "Not of the enterprise tier",
        "Only accounts of the enterprise tier have a dedicated route; override the route instead.",
    ),
    ProblemType(
        "not_an_agent",
        409,
        "Not an agent",
        "Use an account of the kind agent; only agents have customers and price lists.",
    ),
    ProblemType(
        "not_related",
        409,
        "Not an agent and its customer",
        "Name an agent and a customer of it that pays for itself.",
    ),
    ProblemType(
        "same_person",
        409,
        "Approval by another person needed",
        "Have a second person approve or reject the adjustment.",
    ),
    ProblemType(
        "adjustment_decided",
        409,
        "Adjustment is decided",
        "Read the adjustment; propose a new one if the balance is still wrong.",
    ),
    ProblemType(
        "invalid_number",
        422,
        "Not a mobile number",
        "Write a mobile number in E.164, for example +254712345678.",
    ),
    ProblemType(
        "unsupported_destination",
        422,
        "No price for this destination",
        "Ask for the country or network to be opened for your account.",
    ),
    ProblemType(
        "unknown_sender",
        422,
        "Sender id not approved",
        "Send under an approved sender id, spelt exactly so, or ask for its approval.",
    ),
    ProblemType("empty_text", 422, "Text is empty", "Write something to read."),
    ProblemType(
        "text_too_long",
        422,
        "Text takes too many segments",
        "Shorten the text, or use only characters of the GSM-7 alphabet; see POST /v1/quote.",
    ),
    ProblemType(
        "content_blocked",
        422,
        "Text is blocked",
        "Change the wording that the named rule forbids.",
    ),
    ProblemType(
        "spending_cap_reached",
        402,
        "Spending cap reached",
        "Ask your agent to raise the cap, or send in the next month.",
    ),
    ProblemType(
        "insufficient_credits",
        402,
        "Not enough credits",
        "Top up the account, then send again with a new Idempotency-Key.",
    ),
    ProblemType(
        "credit_limit_too_low",
        409,
        "Limit is below what is used",
        "Set a limit that covers what is used, or have the account top up first.",
    ),
    ProblemType(
        "reservation_not_open",
        409,
        "Reservation is resolved",
        "Nothing is to be done: a reservation is charged or released once.",
    ),
    ProblemType(
        "dead_letter_not_found",
        404,
        "No such dead letter",
        "List the dead letters; ids begin with dlq_ and are case-sensitive.",
    ),
    ProblemType(
        "dead_letter_job_not_found",
        404,
        "No such bulk action",
        "List the bulk actions on dead letters; ids begin with dlj_ and are case-sensitive.",
    ),
    ProblemType(
        "dead_letter_settled",
        409,
        "Dead letter is settled",
        'Read what was done; one that was republished goes again with "again": true.',
    ),
    ProblemType(
        "dead_letter_job_ended",
        409,
        "Bulk action is over",
        "Read what it did; start a new one for what is left.",
    ),
    ProblemType(
        "payload_too_large",
        422,
        "Payload is too large",
        "Republish with a payload that the queue takes.",
    ),
    *CONTACT_PROBLEMS,
    *ARCHIVE_PROBLEMS,
)

PROBLEM_TYPES = {problem.code: problem for problem in (*REFUSALS, *EDGE_PROBLEMS)}

#: The one place that says which status a DomainError answers with.
STATUS_BY_CODE = {problem.code: problem.status for problem in REFUSALS}
