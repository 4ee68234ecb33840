from typing import Any

import pytest


@pytest.mark.parametrize("secret", ["old-secret", "new-secret"])
async def test_report_is_stored_as_it_came(intake: Any, platform: Any, secret: str) -> None:
    body = b"id=ATX&status=\xff\x00"

    answer = await intake.post(
        f"/dlr/celcom/{secret}",
        content=body,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == 200
    assert answer.json() == {"status": "stored"}
    assert platform.reports.stored == [("celcom", "application/x-www-form-urlencoded", body)]


@pytest.mark.parametrize(
    "path", ["celcom/wrong", "pigeon/old-secret", "celcom/at-secret", "pigeon/%20", "celcom/é"]
)
async def test_report_is_not_found_a_place_when_secret_is_wrong(
    intake: Any, platform: Any, path: str
) -> None:
    answer = await intake.post(f"/dlr/{path}", content=b"{}")

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert path.rpartition("/")[2] not in answer.text
    assert platform.reports.stored == []


async def test_report_is_refused_when_too_large(intake: Any, platform: Any) -> None:
    answer = await intake.post("/dlr/celcom/new-secret", content=b" " * (64 * 1024 + 1))

    assert answer.status_code == 413
    assert platform.reports.stored == []


async def test_report_is_asked_for_again_when_it_cannot_be_stored(
    intake: Any, platform: Any
) -> None:
    platform.reports.is_available = False

    answer = await intake.post("/dlr/celcom/new-secret", content=b"{}")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"


async def test_observed_route_holds_no_secret(intake: Any, platform: Any) -> None:
    await intake.post("/dlr/celcom/new-secret", content=b"{}")

    assert platform.observer.ended[0]["route"] == "/dlr/{aggregator}/{secret}"


async def test_opt_out_is_stored_apart_from_reports(intake: Any, platform: Any) -> None:
    body = b"senderId=ACME&phoneNumber=%2B254712345678"

    answer = await intake.post("/opt-out/africastalking/at-secret", content=body)

    assert (answer.status_code, answer.json()) == (200, {"status": "stored"})
    assert platform.reports.stored == [("africastalking/opt-out", "", body)]


async def test_opt_out_is_not_found_a_place_when_secret_is_wrong(
    intake: Any, platform: Any
) -> None:
    answer = await intake.post("/opt-out/africastalking/old-secret", content=b"{}")

    assert answer.status_code == 404
    assert platform.reports.stored == []
