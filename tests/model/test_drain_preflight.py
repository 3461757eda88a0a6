"""What speaks against emptying the hosts of an upgrade: none may be left out."""

from typing import Any

import pytest

from model.classify import classify_all
from model.drain_preflight import as_soon_as_settled, judge_drains
from model.fleet import Fleet
from model.placement import schedule
from model.rolling import Rolling
from model.work import Finding
from tests.workflows.reboot_cloud import fleet, guest


def judged(there: Fleet, **rolling: Any) -> list[Finding]:
    rules = Rolling.model_validate(rolling)
    classified = as_soon_as_settled(classify_all(there, rules.drain))
    made = schedule(there, {one.guest: one.kind for one in classified}, rules, hosts=there.hosts)
    return list(judge_drains(there, list(there.hosts), classified, made))


def with_guest(**more: Any) -> Fleet:
    there = fleet()
    return there.model_copy(update={"guests": (*there.guests, guest("odd", "cmp1", **more))})


def test_a_guest_that_nova_works_on_just_now_is_waited_for() -> None:
    assert judged(with_guest(task_state="rebooting")) == []


def test_a_host_that_no_wave_has_refuses_the_upgrade_once() -> None:
    there = fleet()
    down = there.hosts["cmp1"].model_copy(update={"state": "down"})
    there = there.model_copy(update={"hosts": {**there.hosts, "cmp1": down}})
    (finding,) = judged(there)
    assert (finding.severity, finding.subject) == ("error", "cmp1")
    assert "would stay at the old release: its compute service is down" in finding.problem
    classified = classify_all(there, Rolling().drain)
    made = schedule(there, {one.guest: one.kind for one in classified}, Rolling(), hosts=there.hosts)
    assert judge_drains(there, list(there.hosts), classified, made, [finding]) == ()


@pytest.mark.parametrize("status", ["SHUTOFF", "PAUSED"])
def test_what_the_policy_handles_is_no_reason_to_refuse(status: str) -> None:
    assert judged(with_guest(status=status, vm_state=status.lower())) == []


@pytest.mark.parametrize(
    ("more", "rolling", "subject", "problem"),
    [
        ({"status": "ERROR"}, {}, "guests on cmp1", "1 cannot leave (error: it is in ERROR): odd (id-odd)"),
        (
            {"status": "SHUTOFF"},
            {"drain": {"allow": ["live"]}},
            "guests on cmp1",
            "1 cannot leave (shutoff-cold: it is SHUTOFF, and stays so; its class would be cold, which is not allowed)",
        ),
        (
            {"tags": ("stackroll:drain=leave",)},
            {"drain": {"owners": ["leave"]}},
            "cmp1",
            "would stay at the old release: guest odd is to be left as it is",
        ),
    ],
)
def test_a_guest_that_keeps_its_host_refuses_the_upgrade(
    more: dict[str, Any], rolling: dict[str, Any], subject: str, problem: str
) -> None:
    found = {finding.subject: finding for finding in judged(with_guest(**more), **rolling)}
    assert {finding.severity for finding in found.values()} == {"error"}
    assert problem in found[subject].problem
    assert found[subject].remedy


def test_no_room_is_refused_with_the_host_the_resource_and_how_much_is_missing() -> None:
    found = judged(fleet(computes=2, guests=8))
    assert {(finding.severity, finding.subject) for finding in found} == {("error", "cmp1"), ("error", "cmp2")}
    assert all(finding.remedy.startswith("missing: ") for finding in found)


def test_a_disabled_host_takes_no_guests_and_so_gives_no_room() -> None:
    there = fleet(computes=2)
    off = there.hosts["cmp2"].model_copy(update={"status": "disabled"})
    found = judged(there.model_copy(update={"hosts": {**there.hosts, "cmp2": off}}))
    assert ("error", "cmp1") in {(finding.severity, finding.subject) for finding in found}


def test_a_host_that_was_declared_down_is_refused() -> None:
    there = fleet()
    away = there.hosts["cmp1"].model_copy(update={"forced_down": True})
    (finding, *_) = judged(there.model_copy(update={"hosts": {**there.hosts, "cmp1": away}}))
    assert (finding.severity, finding.subject) == ("error", "nova-compute on cmp1")
    assert "forced_down" in finding.problem
