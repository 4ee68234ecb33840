from semalink.application.bus import (
    BusObserver,
    PoisonMessage,
    PublishOutcome,
    PublishState,
    Unobserved,
)


def test_publish_outcome_is_stored_unless_it_failed() -> None:
    stored = [PublishOutcome(state).stored for state in PublishState]

    assert dict(zip(PublishState, stored, strict=True)) == {
        PublishState.ACKED: True,
        PublishState.DUPLICATE: True,
        PublishState.FAILED: False,
    }


def test_poison_message_keeps_its_reason() -> None:
    poison = PoisonMessage("unreadable_job")

    assert (poison.reason, str(poison)) == ("unreadable_job", "unreadable_job")


def test_unobserved_takes_every_call() -> None:
    observer: BusObserver = Unobserved()

    observer.published("sms.normal", PublishState.ACKED, 1)
    observer.delivered("sms-normal", 1)
    observer.acked("sms-normal")
    observer.naked("sms-normal", 1)
    observer.dead_lettered("sms-normal", "PoisonMessage")
    observer.handled("sms-normal", 0.1)

    assert isinstance(observer, Unobserved)
