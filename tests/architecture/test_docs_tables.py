"""The tables of the guides that repeat the code say what the code says."""

from pathlib import Path

import msgspec
import pytest

from semalink.web.problem_type import ProblemType
from semalink.web.problem_types import PROBLEM_TYPES
from semalink_ops.cli.exit_codes import MEANINGS
from semalink_ops.settings import Settings, variable


@pytest.fixture(scope="module")
def operator_guide(root: Path) -> str:
    return (root / "docs/guides/operator.md").read_text()


@pytest.fixture(scope="module")
def customer_guide(root: Path) -> str:
    return (root / "docs/guides/customer.md").read_text()


@pytest.mark.parametrize("field", msgspec.structs.fields(Settings), ids=lambda field: field.name)
def test_operator_guide_lists_every_setting_with_its_default(
    field: msgspec.structs.FieldInfo, operator_guide: str
) -> None:
    row = f"| `{variable(field.name)}` | {shown_default(field)} |"

    assert row in operator_guide


def test_operator_guide_lists_no_other_setting(operator_guide: str) -> None:
    listed = [line for line in operator_guide.splitlines() if line.startswith("| `SEMALINK_")]

    assert len(listed) == len(msgspec.structs.fields(Settings))


@pytest.mark.parametrize("status", MEANINGS)
def test_operator_guide_lists_every_exit_status(status: int, operator_guide: str) -> None:
    assert f"| {status} | {MEANINGS[status]} |" in operator_guide


@pytest.mark.parametrize("known", PROBLEM_TYPES.values(), ids=lambda known: known.code)
def test_customer_guide_lists_every_error(known: ProblemType, customer_guide: str) -> None:
    again = "yes" if known.retryable else "no"
    row = f"| {known.status} | `{known.code}` | {known.title} | {known.remedy} | {again} |"

    assert row in customer_guide


def shown_default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if isinstance(field.default, Path):
        return f"the packaged `{field.default.name}`"
    if field.default in (None, ()):
        return "unset"
    shown = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{shown}`"
