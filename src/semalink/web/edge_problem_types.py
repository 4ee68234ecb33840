"""Every error of the HTTP edge itself: its status, its title and what to do about it."""

from semalink.web.problem_type import ProblemType

#: What the HTTP edge itself refuses.
EDGE_PROBLEMS = (
    ProblemType(
        "malformed_json", 400, "Body is not JSON", "Send a JSON document encoded in UTF-8."
    ),
    ProblemType("incomplete_body", 400, "Body broke off", "Send the whole body.", retryable=True),
    ProblemType("bad_request", 400, "Request is malformed", "Correct the request line or headers."),
    ProblemType(
        "invalid_cursor",
        400,
        "Cursor does not fit",
        "Give next_cursor back unchanged and with the same filters, or start without a cursor.",
    ),
    ProblemType(
        "invalid_idempotency_key",
        400,
        "Idempotency-Key is malformed",
        "Use 1 to 255 printable ASCII characters, in double quotes or without.",
    ),
    ProblemType(
        "missing_api_key",
        401,
        "API key is missing",
        "Send the header Authorization: Bearer sl_live_… with your key.",
    ),
    ProblemType(
        "invalid_api_key",
        401,
        "API key is not valid",
        "Check the key for typing errors, and that it was not revoked.",
    ),
    ProblemType(
        "forbidden",
        403,
        "Key has no right to this",
        "Use a key with one of the scopes that the operation names.",
    ),
    ProblemType("not_found", 404, "No such page", "Check the path; see /openapi.json."),
    ProblemType(
        "method_not_allowed",
        405,
        "Method not allowed here",
        "Use a method that the Allow header names.",
    ),
    ProblemType(
        "api_key_already_issued",
        409,
        "API key was issued before",
        "Revoke the key that was issued and issue another under a new Idempotency-Key.",
    ),
    ProblemType(
        "body_too_large",
        413,
        "Body is too large",
        "Split the request; batches hold 1,000 messages.",
    ),
    ProblemType(
        "unsupported_media_type",
        415,
        "Body must be JSON",
        "Send Content-Type: application/json and no Content-Encoding.",
    ),
    ProblemType(
        "validation_failed",
        422,
        "Fields are not valid",
        "Correct every field that errors names; pointer says where it stands in the request.",
    ),
    ProblemType(
        "rate_limited",
        429,
        "Too many requests",
        "Wait as many seconds as Retry-After says, then send again.",
        retryable=True,
    ),
    ProblemType(
        "batch_over_burst",
        422,
        "Batch is larger than the burst",
        "Split the batch: detail says how many messages may come at once. Your account's burst is "
        "q in the RateLimit-Policy header.",
    ),
    ProblemType(
        "internal_error",
        500,
        "Something broke on our side",
        "Repeat the request with the same Idempotency-Key; tell us the request_id if it stays.",
        retryable=True,
    ),
    ProblemType(
        "webhooks_not_set_up",
        501,
        "Webhooks are not set up",
        "Ask those who run the platform for the setting SEMALINK_WEBHOOK_KEY.",
    ),
    ProblemType(
        "service_unavailable",
        503,
        "Not available now",
        "Nothing was decided. Wait as long as Retry-After says and send the request again.",
        retryable=True,
    ),
    ProblemType(
        "outcome_in_doubt",
        503,
        "Outcome is not known",
        "Repeat the request with the same Idempotency-Key: it counts once, whatever happened.",
        retryable=True,
    ),
)
