"""Ids of webhooks in paths and queries."""

from typing import Any
from uuid import UUID

from litestar import Request

from semalink.domain.errors import (
    RecoveryNotFound,
    WebhookDeliveryNotFound,
    WebhookEndpointNotFound,
)
from semalink.domain.ids import DELIVERY_PREFIX, ENDPOINT_PREFIX, RECOVERY_PREFIX, parse_id


def endpoint_uuid(text: str) -> UUID:
    """Return the UUID behind the id of an endpoint; raises WebhookEndpointNotFound."""
    endpoint_id = parse_id(ENDPOINT_PREFIX, text)
    if endpoint_id is None:
        raise WebhookEndpointNotFound
    return endpoint_id


def endpoint_id_of(request: Request[Any, Any, Any]) -> UUID:
    """Return the endpoint that a path names; raises WebhookEndpointNotFound when it is no id."""
    return endpoint_uuid(request.path_params["endpoint_id"])


def delivery_id_of(request: Request[Any, Any, Any]) -> UUID:
    """Return the delivery that a path names; raises WebhookDeliveryNotFound when it is no id."""
    delivery_id = parse_id(DELIVERY_PREFIX, request.path_params["delivery_id"])
    if delivery_id is None:
        raise WebhookDeliveryNotFound
    return delivery_id


def recovery_id_of(request: Request[Any, Any, Any]) -> UUID:
    """Return the recovery that a path names; raises RecoveryNotFound when it is no id."""
    recovery_id = parse_id(RECOVERY_PREFIX, request.path_params["recovery_id"])
    if recovery_id is None:
        raise RecoveryNotFound
    return recovery_id
