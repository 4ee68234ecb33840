"""Ids in the paths of the operators' API."""

from typing import Any
from uuid import UUID

from litestar import Request

from semalink.domain.errors import ApiKeyNotFound
from semalink.domain.ids import API_KEY_PREFIX, parse_id
from semalink.web.field_types import account_uuid


def account_id_of(request: Request[Any, Any, Any]) -> UUID:
    """Return the account that a path names; raises AccountNotFound when it is no id."""
    return account_uuid(request.path_params["account_id"])


def api_key_id_of(request: Request[Any, Any, Any]) -> UUID:
    """Return the key that a path names; raises ApiKeyNotFound when it is no id."""
    api_key_id = parse_id(API_KEY_PREFIX, request.path_params["key_id"])
    if api_key_id is None:
        raise ApiKeyNotFound
    return api_key_id
