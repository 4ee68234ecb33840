from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from semalink.domain.cause import Cause
from semalink.domain.opt_out import OptOut, OptOutSource, OptOutSubject
from semalink.domain.opt_out_errors import ConsentRequired

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
ACCOUNT_ID, OTHER_ID = UUID(int=1), UUID(int=2)
NUMBER = "+254712345678"
SUBJECT = OptOutSubject(ACCOUNT_ID, "ACME", NUMBER)


def at(seconds: float = 0) -> Cause:
    return Cause("key:1", START + timedelta(seconds=seconds), "req_1")


def recorded(source: OptOutSource = OptOutSource.API) -> OptOut:
    opt_out = OptOut.record(SUBJECT, source, "by phone", at())
    opt_out.collect_events()
    return opt_out


def names(opt_out: Any) -> list[str]:
    return [type(event).__name__ for event in opt_out.collect_events()]


@pytest.mark.parametrize(
    ("subject", "is_concerned"),
    [
        (OptOutSubject(ACCOUNT_ID, "ACME", NUMBER), True),
        (OptOutSubject(ACCOUNT_ID, "acme", NUMBER), True),
        (OptOutSubject(ACCOUNT_ID, "", NUMBER), True),
        (OptOutSubject(None, "ACME", NUMBER), True),
        (OptOutSubject(None, "", NUMBER), True),
        (OptOutSubject(OTHER_ID, "ACME", NUMBER), False),
        (OptOutSubject(ACCOUNT_ID, "SHOP", NUMBER), False),
        (OptOutSubject(ACCOUNT_ID, "ACME", "+254712345679"), False),
    ],
)
def test_subject_concerns_messages_of_its_account_sender_and_number(
    subject: OptOutSubject, *, is_concerned: bool
) -> None:
    assert subject.concerns(ACCOUNT_ID, "ACME", NUMBER) is is_concerned


def test_subject_has_one_id_however_its_sender_is_written() -> None:
    ids = {
        OptOutSubject(account_id, sender, NUMBER).opt_out_id
        for account_id in (ACCOUNT_ID, OTHER_ID, None)
        for sender in ("ACME", "acme", "")
    }

    assert len(ids) == 6


def test_record_holds_at_once() -> None:
    opt_out = OptOut.record(SUBJECT, OptOutSource.API, "by phone", at())

    assert (opt_out.id, opt_out.subject) == (SUBJECT.opt_out_id, SUBJECT)
    assert (opt_out.is_active, opt_out.source, opt_out.how) == (True, "api", "by phone")
    assert (opt_out.recorded_at, opt_out.recorded_by) == (START, "key:1")


@pytest.mark.parametrize(
    ("before", "after", "is_new"),
    [
        (OptOutSource.API, OptOutSource.OPERATOR, False),
        (OptOutSource.API, OptOutSource.CALLBACK, True),
        (OptOutSource.OPERATOR, OptOutSource.REPORT, True),
        (OptOutSource.REFUSAL, OptOutSource.API, False),
        (OptOutSource.REPORT, OptOutSource.CALLBACK, False),
    ],
)
def test_renew_changes_only_what_the_recipient_now_says_themselves(
    before: OptOutSource, after: OptOutSource, *, is_new: bool
) -> None:
    opt_out = recorded(before)

    changed = opt_out.renew(after, "STOP", at(1))

    assert changed is is_new
    assert opt_out.source is (after if is_new else before)
    assert names(opt_out) == (["Renewed"] if is_new else [])


def test_lift_holds_no_more() -> None:
    opt_out = recorded()

    opt_out.lift("asked to be written to", None, at(1))

    assert not opt_out.is_active
    assert (opt_out.lifted_at, opt_out.lifted_by) == (START + timedelta(seconds=1), "key:1")
    assert opt_out.lift_reason == "asked to be written to"


@pytest.mark.parametrize(
    "source", [OptOutSource.CALLBACK, OptOutSource.REPORT, OptOutSource.REFUSAL]
)
def test_lift_asks_for_consent_when_the_recipient_opted_out(source: OptOutSource) -> None:
    opt_out = recorded(source)

    with pytest.raises(ConsentRequired):
        opt_out.lift("we want to", None, at(1))

    assert names(opt_out) == []
    opt_out.lift("signed up again", "form of 23 November", at(2))
    assert (opt_out.is_active, opt_out.consent) == (False, "form of 23 November")


def test_lift_changes_nothing_when_it_is_repeated() -> None:
    opt_out = recorded()
    opt_out.lift("first", None, at(1))
    opt_out.collect_events()

    opt_out.lift("second", None, at(2))

    assert names(opt_out) == []
    assert opt_out.lift_reason == "first"


def test_renew_holds_again_when_it_was_lifted() -> None:
    opt_out = recorded(OptOutSource.CALLBACK)
    opt_out.lift("signed up again", "form", at(1))

    changed = opt_out.renew(OptOutSource.API, "by mail", at(2))

    assert changed
    assert opt_out.is_active
    assert (opt_out.lifted_at, opt_out.lift_reason, opt_out.consent) == (None, None, None)
