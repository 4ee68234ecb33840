import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime

import pytest

from semalink_ops.cli.output import show_facts, show_json, show_table
from semalink_ops.cli.timeline import show_timeline

AT = datetime(2026, 11, 2, 8, 15, 4, 210_999, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown_on_terminal(print_it: Callable[[], None]) -> str:
    with redirect_stdout(Terminal()) as terminal:
        print_it()
    return terminal.getvalue()


def test_table_has_tabs_between_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["Id", "Opened at"], [["acct_1", AT], ["acct_2", None]])

    assert capsys.readouterr().out == (
        "id\topened at\nacct_1\t2026-11-02 08:15:04.210\nacct_2\t-\n"
    )


def test_table_is_aligned_for_a_person() -> None:
    rows = [["acct_1", "Acme [Ltd]"], ["acct_22", "B"]]

    shown = shown_on_terminal(lambda: show_table(["Id", "Name"], rows))

    lines = [line.rstrip() for line in shown.splitlines()]
    assert lines[1:] == ["acct_1   Acme [Ltd]", "acct_22  B"]


def test_table_shows_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["Name"], [["a\x1b[2Jb\nc"]])

    assert capsys.readouterr().out == "name\na [2Jb c\n"


def test_json_is_one_line_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"items": [{"at": AT}], "next_cursor": None})

    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert json.loads(shown)["items"] == [{"at": "2026-11-02T08:15:04.210999Z"}]


def test_json_is_indented_for_a_person() -> None:
    shown = shown_on_terminal(lambda: show_json({"id": "acct_1"}))

    assert shown == '{\n  "id": "acct_1"\n}\n'


def test_facts_are_aligned_for_a_person() -> None:
    shown = shown_on_terminal(lambda: show_facts({"id": "acct_1", "reserved": "0.80"}))

    assert shown == "id        acct_1\nreserved  0.80\n"


def step() -> dict[str, object]:
    return {
        "sequence": 1,
        "at": "2026-11-02T08:15:04.210999Z",
        "name": "message.accepted",
        "actor": "key:key_1",
        "request_id": "req_1",
        "data": {"lane": "normal", "network": None, "segments": 0},
    }


def test_timeline_is_a_line_a_step_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    show_timeline([step()])

    assert capsys.readouterr().out.splitlines()[1] == (
        "1\t2026-11-02 08:15:04.210\tmessage.accepted\tkey:key_1\treq_1\tlane=normal segments=0"
    )


def test_timeline_is_two_lines_a_step_for_a_person() -> None:
    shown = shown_on_terminal(lambda: show_timeline([step()]))

    when, facts = shown.splitlines()
    assert "message.accepted" in when
    assert "key:key_1" in when
    assert "lane=normal segments=0" in facts
