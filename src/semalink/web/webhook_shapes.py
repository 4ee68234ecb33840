"""The shapes of endpoints of webhooks: what is asked for and what is answered."""

from typing import Annotated, Literal

import msgspec

from semalink.application.delivery_reading import EndpointHealthView
from semalink.application.endpoint_reading import EndpointView
from semalink.application.webhooks import MadeSecret, TermsChange
from semalink.domain.webhook_endpoint import (
    CONCURRENCY_DEFAULT,
    RATE_PER_SECOND_DEFAULT,
    EndpointTerms,
    SecretKind,
)
from semalink.web.field_types import Cursor, PageSize

Address = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=2_048, description="Of https, on port 443 or 8443, and public."
    ),
]
Patterns = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]],
    msgspec.Meta(
        min_length=1,
        max_length=50,
        description='"*" for all, "message.*" for all of a kind, or names of event types.',
    ),
]
Note = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\u0000-\u001f\u007f]*$")]
Rate = Annotated[
    int, msgspec.Meta(ge=1, le=500, description="How many events are sent a second at most.")
]
Concurrency = Annotated[
    int, msgspec.Meta(ge=1, le=50, description="How many are under way at once at most.")
]
Kinds = Annotated[
    list[Literal["v1", "v1a"]],
    msgspec.Meta(
        min_length=1,
        max_length=2,
        description=(
            'What events are signed by: "v1", a shared secret (HMAC-SHA256), "v1a", a key pair '
            "(Ed25519), or both."
        ),
    ),
]


class NewEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint to be registered."""

    url: Address
    event_types: Patterns
    description: Note = ""
    rate_per_second: Rate = RATE_PER_SECOND_DEFAULT
    concurrency: Concurrency = CONCURRENCY_DEFAULT
    signatures: Kinds = msgspec.field(default_factory=lambda: ["v1"])


class EndpointChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of an endpoint is to be other; what is left out stays."""

    url: Address | None = None
    event_types: Patterns | None = None
    description: Note | None = None
    rate_per_second: Rate | None = None
    concurrency: Concurrency | None = None


class EndpointWithSecret(EndpointView, frozen=True, kw_only=True):
    """An endpoint and what its new secret is; it is shown this once."""

    #: What `v1` signatures are verified with. Null in a repeated answer, and without `v1`.
    secret: str | None
    #: The public key that `v1a` signatures are verified with.
    verification_key: str | None


class EndpointWithHealth(EndpointView, frozen=True, kw_only=True):
    """An endpoint and how it does."""

    health: EndpointHealthView


class Endpoints(msgspec.Struct, frozen=True):
    """A page of endpoints, newest first."""

    items: list[EndpointView]
    next_cursor: str | None


class EndpointQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of endpoints is listed."""

    cursor: Cursor | None = None
    limit: PageSize = 20


def with_health(view: EndpointView, health: EndpointHealthView) -> EndpointWithHealth:
    """Return an endpoint with how it does."""
    facts = {name: getattr(view, name) for name in view.__struct_fields__}
    return EndpointWithHealth(**facts, health=health)


def with_secrets(view: EndpointView, made: tuple[MadeSecret, ...]) -> EndpointWithSecret:
    """Return an endpoint with what its owner sees once."""
    shown = {one.secret.kind: one.shown for one in made}
    return EndpointWithSecret(
        **msgspec.structs.asdict(view),
        secret=shown.get(SecretKind.V1),
        verification_key=shown.get(SecretKind.V1A),
    )


def terms_of(asked: NewEndpoint) -> EndpointTerms:
    """Return what the owner chose."""
    return EndpointTerms(
        asked.url,
        tuple(dict.fromkeys(asked.event_types)),
        asked.description,
        asked.rate_per_second,
        asked.concurrency,
    )


def terms_change_of(asked: EndpointChange) -> TermsChange:
    """Return what the owner chose to be other."""
    event_types = None if asked.event_types is None else tuple(dict.fromkeys(asked.event_types))
    return TermsChange(
        asked.url, event_types, asked.description, asked.rate_per_second, asked.concurrency
    )
