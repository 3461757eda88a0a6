"""Asking a real HTTP server for alerts: what holds a run, what does not, and what is wrong with the question."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.alerts import AlertActivities
from model.alerts import AlertGate, AlertsAsked, AlertsSeen
from tests.activities.monitoring import Monitoring, monitoring

DOWN = {"alertname": "HostDown", "instance": "cmp1"}


@pytest.fixture
def told() -> Iterator[Monitoring]:
    with monitoring() as running:
        yield running


async def watch(told: Monitoring, *, seconds: float = 0.0, known: tuple[str, ...] = (), **gate: Any) -> AlertsSeen:
    wanted = AlertGate.model_validate({"url": told.url, "every": 0.02, **gate})
    asked = AlertsAsked(gate=wanted, seconds=seconds, known=known)
    return await ActivityEnvironment().run(AlertActivities().watch_alerts, asked)


@pytest.mark.parametrize("how", [{}, {"kind": "alertmanager"}, {"query": 'ALERTS{alertstate="firing"}'}])
async def test_alerts_that_fire_are_named_and_those_ignored_are_not(told: Monitoring, how: dict[str, Any]) -> None:
    told.alerts = [DOWN, {"alertname": "Watchdog"}, {"alertname": "InfoInhibitor", "severity": "none"}]
    ignore = [{"alertname": "Watchdog"}, {"alertname": "=~Info.*", "severity": "none"}]
    seen = await watch(told, ignore=ignore, **how)
    since = "" if "query" in how else " since 01:02:03"
    assert (seen.quiet, seen.text) == (False, f"alerts to end: HostDown on cmp1{since}")
    told.alerts.remove(DOWN)
    assert (await watch(told, ignore=ignore, **how)).quiet


async def test_it_must_be_quiet_for_the_whole_time(told: Monitoring) -> None:
    seen = await watch(told, seconds=1.0)
    assert seen.quiet
    assert len(told.asked) > 3


async def test_it_answers_when_the_alerts_have_ended(told: Monitoring) -> None:
    seen = await watch(told, seconds=60, known=("alertname=HostDown,instance=cmp1",))
    assert seen == AlertsSeen()


async def test_silence_is_no_quiet(told: Monitoring) -> None:
    told.status = 503
    assert (await watch(told)).problem == f"{told.url}/api/v1/alerts answered 503"
    nobody = AlertGate.model_validate({"url": "http://127.0.0.1:9"})
    seen = await ActivityEnvironment().run(AlertActivities().watch_alerts, AlertsAsked(gate=nobody, seconds=0))
    assert seen.text == "alerts are not known: http://127.0.0.1:9 does not answer (ConnectError)"


async def test_credentials_are_read_where_they_are_named(
    told: Monitoring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROM_TOKEN", "s3cret")
    told.wanted = "Bearer s3cret"
    assert (await watch(told, token_env="PROM_TOKEN")).quiet
    secret = tmp_path / "password"
    secret.write_text("pw\n")
    told.wanted = "Basic YW5uYTpwdw=="
    assert (await watch(told, user="anna", password_file=str(secret))).quiet


@pytest.mark.parametrize(
    ("gate", "status", "text"),
    [
        ({"token_env": "NO_SUCH_TOKEN"}, 200, "gates.alerts: the worker has no environment variable NO_SUCH_TOKEN"),
        ({"token_file": "/nowhere/token"}, 200, "gates.alerts: the worker cannot read /nowhere/token (No such file"),
        ({"ca_file": "/nowhere/ca"}, 200, "gates.alerts.ca_file: /nowhere/ca: No such file"),
        ({}, 403, "answered 403\n  next: see gates.alerts in the specification: token_env"),
        ({}, 404, "and whether it is a prometheus"),
    ],
)
async def test_what_cannot_be_asked_is_refused_at_once(
    told: Monitoring, gate: dict[str, Any], status: int, text: str
) -> None:
    told.status = status
    with pytest.raises(ApplicationError) as caught:
        await watch(told, **gate)
    assert text in caught.value.message
    assert (caught.value.type, caught.value.non_retryable) == ("Refused", True)
