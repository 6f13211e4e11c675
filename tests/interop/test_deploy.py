"""What is in deploy/prometheus and in the dashboard, as Prometheus' own tool reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.interop.running import run
from tests.test_deploy import DEPLOY, EXPRESSIONS, RULES

pytestmark = pytest.mark.interop

PROMETHEUS = DEPLOY / "prometheus"


def test_configuration() -> None:
    """Prometheus takes the configuration, and the rules that it names."""
    said = run("promtool", "check", "config", PROMETHEUS / "prometheus.yml").stdout
    assert f"{len(RULES)} rules found" in said


def test_alerts_fire_when_they_should() -> None:
    """Each alert fires in its case, and none when all is well."""
    cases = PROMETHEUS / "rules_test.yml"
    run("promtool", "test", "rules", cases, cwd=PROMETHEUS)
    named = {
        case["alertname"]
        for test in yaml.safe_load(cases.read_text())["tests"]
        for case in test["alert_rule_test"]
        if "exp_alerts" in case
    }
    assert named == {rule["alert"] for rule in RULES if "alert" in rule}


def test_dashboard_queries_parse(tmp_path: Path) -> None:
    """Each query of the dashboard is PromQL, with its variables replaced as Grafana does it."""
    rules = [
        {
            "record": f"panel:{number}",
            "expr": re.sub(r"\$instance", ".*", expression)
            .replace("$job", "seedbed")
            .replace("$__rate_interval", "1m"),
        }
        for number, expression in enumerate(EXPRESSIONS)
    ]
    assert "$" not in "".join(rule["expr"] for rule in rules)
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run("promtool", "check", "rules", path).stdout
    path.write_text(path.read_text().replace("sum(", "sum(("))
    assert run("promtool", "check", "rules", path, check=False).returncode != 0
