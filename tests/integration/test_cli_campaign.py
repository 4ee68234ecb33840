import json
from collections.abc import Callable

import psycopg
import pytest
from uuid_utils.compat import uuid7

from semalink_ops.cli import exit_codes, run

Semalink = Callable[..., tuple[int, str, str]]

INSERT_CAMPAIGN = """
INSERT INTO campaigns (
    campaign_id, account_id, billing_account_id, mode, state, plan, revision, message_count,
    reserved_micros, start_at, started_at, created_by, created_at, changed_at)
VALUES (%(id)s, %(account_id)s, %(account_id)s, 'live', %(state)s, '{"name": "Offer"}', 1, 4,
    3200000, now() - interval '1 hour', CASE %(state)s WHEN 'sending' THEN now() END,
    'key:desk', now(), now())"""

INSERT_RESULTS = """
INSERT INTO campaign_results VALUES
    (%(id)s, 'safaricom', 'accepted', '', 2, 0, 2, 1600000, 0, 0),
    (%(id)s, 'safaricom', 'failed', 'absent_subscriber', 2, 2, 2, 1600000, 1600000, 800000)"""

INSERT_PARKED_PIECE = """
INSERT INTO tasks (task_id, queue, kind, account_id, payload, state) VALUES (
    gen_random_uuid(), 'sms.content', 'accept_piece', %(account_id)s,
    jsonb_build_object('campaign_id', %(id)s::uuid, 'first', 0, 'size', 2), 'parked')"""


@pytest.fixture
def semalink(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Semalink:
    """Runs one command line on a fresh database; returns its status, what it printed and said."""
    monkeypatch.setenv("SEMALINK_DATABASE_URL", database_url)
    monkeypatch.setenv("SEMALINK_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setenv("SEMALINK_KEY_PEPPER", "a-pepper-of-at-least-thirty-two-characters")

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(list(arguments))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


def test_account_campaign_approval_is_set_and_shown(semalink: Semalink) -> None:
    _, opened, _ = semalink("account", "create", "Duka", "--json")
    account_id = json.loads(opened)["id"]

    status, _, _ = semalink("account", "campaign-approval", account_id, "required")
    _, changed, _ = semalink("account", "campaign-approval", account_id, "not-required", "--json")

    assert status == exit_codes.OK
    assert json.loads(changed) == {"account_id": account_id, "campaigns_need_approval": False}


def test_campaigns_at_work_are_listed_and_shown(semalink: Semalink, database_url: str) -> None:
    account_id, ids = uuid7(), {state: uuid7() for state in ("draft", "scheduled", "sending")}
    with psycopg.connect(database_url) as connection:
        for state, campaign_id in ids.items():
            facts = {"id": campaign_id, "account_id": account_id, "state": state}
            connection.execute(INSERT_CAMPAIGN, facts)
        connection.execute(INSERT_RESULTS, {"id": ids["sending"]})
        piece = {"id": ids["sending"], "account_id": account_id}
        connection.execute(INSERT_PARKED_PIECE, piece)
    name = f"cmp_{ids['sending'].hex}"

    _, listed, _ = semalink("campaign", "list", "--json")
    _, drafts, _ = semalink("campaign", "list", "--state", "draft")
    status, shown, _ = semalink("campaign", "show", name)
    _, detailed, _ = semalink("campaign", "show", name, "--json")

    items = json.loads(listed)["items"]
    assert [(one["state"], one["progress_percent"]) for one in items] == [
        ("sending", 50),
        ("scheduled", 0),
    ]
    assert "scheduler" in items[1]["look_at"]
    assert len(drafts.splitlines()) == 2
    assert status == exit_codes.OK
    assert "Done\t50 % of 4" in shown
    assert "Parked pieces\t1" in shown
    assert "Still reserved\t1.6" in shown
    assert "failed\tabsent_subscriber\t2" in shown
    assert json.loads(detailed)["results"]["money"]["cost_micros"] == 800_000


def test_campaign_that_is_none_is_not_found(semalink: Semalink) -> None:
    status, _, said = semalink("campaign", "show", "cmp_1")
    _, _, nothing = semalink("campaign", "list")

    assert status == exit_codes.NOT_FOUND
    assert "There is no campaign cmp_1." in said
    assert "No campaign is at work" in nothing
