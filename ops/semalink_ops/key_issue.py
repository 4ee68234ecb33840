"""Making API keys outside of HTTP: what is stored of one, and the key itself, shown once."""

from dataclasses import dataclass, field
from uuid import UUID

from semalink.application.accounts import IssueApiKey, IssuedKey
from semalink.domain.cause import Cause
from semalink.web.admin.roles import ADMIN, ANYONE
from semalink.web.api_key import hash_key, make_key

#: What a key of a customer may be allowed.
CUSTOMER_SCOPES = (
    "balance:read",
    "contacts:read",
    "contacts:write",
    "campaigns:read",
    "campaigns:write",
    "customers:read",
    "customers:write",
    "ledger:read",
    "messages:read",
    "messages:send",
    "webhooks:read",
    "webhooks:write",
    "opt_outs:read",
    "opt_outs:write",
)
#: What a key of an operator may be allowed: the roles.
OPERATOR_SCOPES = (ADMIN, *sorted(ANYONE - {ADMIN}))
OPERATOR_MODE = "operator"


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key to be made."""

    api_key_id: UUID
    account_id: UUID
    name: str
    #: "live", "test" or "operator".
    mode: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreparedKey:
    """A key that works once its command was executed."""

    command: IssueApiKey
    secret: str = field(repr=False)


def prepare_key(request: KeyRequest, pepper: bytes, cause: Cause) -> PreparedKey:
    """Make a new key."""
    return prepare_known_key(make_key(request.mode, pepper).secret, request, pepper, cause)


def prepare_known_key(secret: str, request: KeyRequest, pepper: bytes, cause: Cause) -> PreparedKey:
    """Return how a key that was made before is issued."""
    issued = IssuedKey(
        request.api_key_id,
        request.name,
        sorted(request.scopes),
        request.mode,
        hash_key(secret, pepper).hex(),
        secret[-4:],
    )
    return PreparedKey(IssueApiKey(request.account_id, issued, cause), secret)
