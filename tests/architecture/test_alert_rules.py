"""Every alert names metrics that there are, and a page that says what to do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from semalink_ops.observability.declarations import DECLARED
from semalink_ops.observability.declared import Kind

_METRIC = re.compile(r"\b(?:semalink|http_server)_[a-z_]+")
_SERIES = ("_bucket", "_count", "_sum")


@pytest.fixture
def rules(root: Path) -> list[dict[str, Any]]:
    files = sorted((root / "ops/alerts").glob("*.rules.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def exported() -> set[str]:
    names = {metric.name for metric in DECLARED}
    for metric in DECLARED:
        if metric.kind is Kind.HISTOGRAM:
            names |= {metric.name + series for series in _SERIES}
    return names


def test_alerts_name_only_metrics_that_are_exported(rules: list[dict[str, Any]]) -> None:
    used = {name for rule in rules for name in _METRIC.findall(rule["expr"])}

    assert used
    assert used - exported() == set()


def test_alerts_say_what_to_do(rules: list[dict[str, Any]], root: Path) -> None:
    alerts = [rule for rule in rules if "alert" in rule]

    assert alerts
    assert all((root / rule["annotations"]["runbook"]).is_file() for rule in alerts)
    assert all(rule["labels"]["severity"] in {"page", "ticket"} for rule in alerts)


def test_every_file_of_rules_has_its_tests(root: Path) -> None:
    for file in (root / "ops/alerts").glob("*.rules.yml"):
        tested = file.with_name(file.name.replace(".rules.", ".test."))
        names = {
            rule["alert"]
            for group in yaml.safe_load(file.read_text())["groups"]
            for rule in group["rules"]
            if "alert" in rule
        }

        tests = yaml.safe_load(tested.read_text())["tests"]

        assert {one["alertname"] for test in tests for one in test["alert_rule_test"]} == names
