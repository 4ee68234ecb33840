from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest

from semalink.web.admin.api_keys import CustomerScope
from semalink.web.problem_types import STATUS_BY_CODE
from semalink_ops.key_issue import CUSTOMER_SCOPES
from semalink_ops.reference import pages
from semalink_ops.reference.errors import refusal_classes

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
NAMES = (
    "cli.md",
    "errors.md",
    "metrics.md",
    "openapi.json",
    "openapi-admin.json",
    "openapi-intake.json",
)


@pytest.fixture(scope="module")
def written() -> Mapping[str, str]:
    return pages()


def test_every_page_is_known(written: Mapping[str, str]) -> None:
    assert set(written) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_page_is_as_the_code_says(name: str, written: Mapping[str, str]) -> None:
    is_current = (FOLDER / name).read_text(encoding="utf-8") == written[name]

    assert is_current, "run `make docs`"


def test_every_refusal_has_a_status() -> None:
    assert {kind.code for kind in refusal_classes()} == set(STATUS_BY_CODE)


def test_scopes_of_the_command_line_are_those_of_the_admin_api() -> None:
    assert set(CUSTOMER_SCOPES) == set(get_args(CustomerScope))
