"""Failure codes: every class of refusal has words, and old codes stay readable."""

import re

import pytest

from semalink.application.ports import FailureClass
from semalink.domain.failure_codes import FAILURES, UNLISTED, describe, submit_failure_code


def test_describe_has_words_for_every_code():
    for code, words in FAILURES.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
        assert words.detail.endswith(".")
        assert describe(code) == words


def test_describe_answers_plainly_for_a_code_of_another_release():
    assert describe("swallowed_by_hippo") is UNLISTED


@pytest.mark.parametrize("failure", FailureClass)
def test_submit_failure_code_knows_every_class(failure: FailureClass):
    assert submit_failure_code(failure, "never seen") in FAILURES


@pytest.mark.parametrize(
    ("failure", "provider_code", "expected"),
    [
        (FailureClass.CONFIGURATION, "1001", "sender_not_registered"),
        (FailureClass.CONFIGURATION, "InvalidSenderId", "sender_not_registered"),
        (FailureClass.CONFIGURATION, "1006", "provider_misconfigured"),
        (FailureClass.RECIPIENT, "UnsupportedNumberType", "unsupported_number_type"),
        (FailureClass.RECIPIENT, "1003", "invalid_number"),
        (FailureClass.WINDOW, "DoNotDisturbRejection", "do_not_disturb"),
        (FailureClass.TRANSIENT, "HTTP 429", "provider_busy"),
        (FailureClass.TRANSIENT, "unreachable", "provider_unreachable"),
        (FailureClass.TRANSIENT, "1005", "provider_fault"),
    ],
)
def test_submit_failure_code_is_as_close_as_the_provider_was(
    failure: FailureClass, provider_code: str, expected: str
):
    assert submit_failure_code(failure, provider_code) == expected
