from semalink.application.bus import PoisonMessage
from semalink.domain.errors import AccountNotFound
from semalink_adapters.jetstream.dead_letters import explain


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_explain_repeats_a_refusal() -> None:
    assert explain(raised(AccountNotFound())) == "There is no account with this id."


def test_explain_repeats_the_reason_of_poison() -> None:
    assert explain(raised(PoisonMessage("The event cannot be read."))) == (
        "The event cannot be read."
    )


def test_explain_says_only_where_any_other_error_came_from() -> None:
    told = explain(raised(ValueError("+254700000001: Your code is 1234")))

    assert told.startswith("raised in raised at test_dead_letters.py:")
    assert "254" not in told


def test_explain_says_nothing_of_an_error_that_was_never_raised() -> None:
    assert explain(ValueError("+254700000001")) == ""
