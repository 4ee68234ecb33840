"""Secrets of endpoints: replaced, and the public keys that anybody may verify with."""

from base64 import b64encode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from semalink.application.endpoint_reading import VerificationKey
from semalink.application.webhooks import RotateSecret
from semalink.domain.ids import SECRET_PREFIX, format_id
from semalink.domain.webhook_endpoint import OLD_SECRETS_KEPT_DEFAULT, OLD_SECRETS_KEPT_MAX
from semalink.web import webhook_examples
from semalink.web.arrival import arrival_of
from semalink.web.body import read_json
from semalink.web.dependencies import ApiDependencies
from semalink.web.idempotency import REPLAYED, REPLAYED_NOTE, idempotency_of
from semalink.web.operation import Operation, Success, route
from semalink.web.reply import Reply
from semalink.web.webhook_deliveries import READ, TAG, WRITE
from semalink.web.webhook_endpoints import (
    OF_ENDPOINT,
    endpoint_of,
    make_secrets,
)
from semalink.web.webhook_ids import endpoint_id_of
from semalink.web.webhook_shapes import EndpointWithSecret, with_secrets

_ONE = "/v1/webhook-endpoints/{endpoint_id:str}"
_KEPT_SECONDS_MAX = int(OLD_SECRETS_KEPT_MAX.total_seconds())
_KEPT_SECONDS_DEFAULT = int(OLD_SECRETS_KEPT_DEFAULT.total_seconds())


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which secret is replaced, and for how long the old ones stay valid."""

    kind: Annotated[
        Literal["v1", "v1a"],
        msgspec.Meta(description="One that the endpoint has not yet signs from now on as well."),
    ] = "v1"
    keep_old_seconds: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=_KEPT_SECONDS_MAX,
            description="Until then events are signed by the old ones as well; 0: no longer.",
        ),
    ] = _KEPT_SECONDS_DEFAULT


class Jwk(msgspec.Struct, frozen=True):
    """A public key as JSON Web Keys are written (RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    alg: str = "EdDSA"
    use: str = "sig"


class PublicKey(msgspec.Struct, frozen=True):
    """A public key that signatures of the kind `v1a` are verified with."""

    id: str
    #: As libraries of Standard Webhooks take it.
    verification_key: str
    jwk: Jwk
    created_at: datetime
    expires_at: datetime | None


class PublicKeys(msgspec.Struct, frozen=True):
    """The keys that sign now, newest first."""

    items: list[PublicKey]


_rotation = msgspec.json.Decoder(Rotation)
_KEY = bytes(range(32))

ROTATE = Operation(
    method="POST",
    path=f"{_ONE}/rotate-secret",
    operation_id="rotateWebhookSecret",
    tag=TAG,
    summary="Rotate a secret",
    description=(
        "Makes a new secret and shows it this once. Until the old ones expire, events are signed "
        "by all of them, the newest first, so that the endpoint can change over at leisure. At "
        "most five old ones stay."
    ),
    scopes=WRITE,
    takes_idempotency_key=True,
    path_examples=OF_ENDPOINT,
    body=Rotation,
    body_examples={"in an hour": {"keep_old_seconds": 3_600}},
    success=Success(
        201,
        "The new secret signs from now on.",
        EndpointWithSecret,
        webhook_examples.ROTATED,
        headers=REPLAYED_NOTE,
    ),
    problems=("webhook_endpoint_not_found", "webhooks_not_set_up"),
)
KEYS = Operation(
    method="GET",
    path=f"{_ONE}/verification-keys",
    operation_id="listWebhookVerificationKeys",
    tag=TAG,
    summary="List public keys",
    description="The public keys of `v1a`; none for an endpoint that is signed for by `v1` only.",
    scopes=READ,
    path_examples=OF_ENDPOINT,
    success=Success(
        200,
        "The keys that sign now.",
        PublicKeys,
        {
            "items": [
                {
                    "id": webhook_examples.SECRET_ID,
                    "verification_key": f"whpk_{b64encode(_KEY).decode()}",
                    "jwk": {
                        "kty": "OKP",
                        "crv": "Ed25519",
                        "x": urlsafe_b64encode(_KEY).rstrip(b"=").decode(),
                        "kid": webhook_examples.SECRET_ID,
                        "alg": "EdDSA",
                        "use": "sig",
                    },
                    "created_at": "2026-11-02T08:15:04Z",
                    "expires_at": None,
                }
            ]
        },
    ),
    problems=("webhook_endpoint_not_found",),
)


class SecretPages:
    """Replaces secrets and shows public keys."""

    def __init__(self, deps: ApiDependencies) -> None:
        self._deps = deps

    async def rotate(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Make a new secret and show it this once."""
        arrival = arrival_of(request.scope)
        endpoint_id, account_id = endpoint_id_of(request), arrival.caller.account_id
        asked = await read_json(request, _rotation)
        made = make_secrets(self._deps, [asked.kind], request)
        answer = await self._deps.ledger.execute(
            RotateSecret(
                endpoint_id,
                account_id,
                made[0],
                timedelta(seconds=asked.keep_old_seconds),
                arrival.cause,
                idempotency_of(arrival, ROTATE.route_name, (endpoint_id.hex, asked)),
            )
        )
        view = await endpoint_of(self._deps.endpoints, endpoint_id, account_id)
        shown = with_secrets(view, () if answer.replayed else made)
        headers = (REPLAYED,) if answer.replayed else ()
        return Reply(201, msgspec.json.encode(shown), headers)

    async def keys(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer with the public keys of an endpoint."""
        endpoint_id = endpoint_id_of(request)
        account_id = arrival_of(request.scope).caller.account_id
        await endpoint_of(self._deps.endpoints, endpoint_id, account_id)
        found = await self._deps.endpoints.verification_keys(endpoint_id)
        return Reply(200, msgspec.json.encode(PublicKeys([_public(one) for one in found])))


def secret_routes(deps: ApiDependencies) -> list[HTTPRouteHandler]:
    """Return the routes of secrets."""
    pages = SecretPages(deps)
    return [route(ROTATE, pages.rotate), route(KEYS, pages.keys)]


def _public(key: VerificationKey) -> PublicKey:
    public_id = format_id(SECRET_PREFIX, key.secret_id)
    x = urlsafe_b64encode(key.public_key).rstrip(b"=").decode()
    return PublicKey(
        public_id,
        f"whpk_{b64encode(key.public_key).decode()}",
        Jwk("OKP", "Ed25519", x, public_id),
        key.created_at,
        key.expires_at,
    )
