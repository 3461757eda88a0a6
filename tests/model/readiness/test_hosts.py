"""Hosts: one thing wrong, and what is said about it."""

from typing import Any

import pytest

from model.readiness.hosts import HostState, judge_hosts
from model.work import Finding, HostFacts
from tests.model.test_preflight import CONTROL, good, request

REQUEST = request()

GOOD = HostState(
    machine="m",
    synchronised=True,
    whole=(("keystone", "29.0.1"), ("placement", "15.0.0"), ("glance", "32.0.0"), ("nova", "33.0.1")),
    keys={"fernet": ("a", 3), "credential": ("b", 2)},
    options={
        "nova upgrade_levels compute": "auto",
        "nova service_user send_service_user_token": "True",
        "keystone token expiration": "14400",
    },
    locks={"nova": "l"},
    pins={"nova": "34.0.0"},
)


def judged(own: str = "", **odd: Any) -> tuple[Finding, ...]:
    """Judge a cloud of which ctl2 is odd."""
    states = {"ctl1": GOOD, "ctl2": GOOD.model_copy(update=odd), "cmp1": GOOD, "cmp2": GOOD}
    return judge_hosts(REQUEST, states, good().hosts, own)


def test_nothing_is_said_of_good_hosts() -> None:
    assert judged() == ()


@pytest.mark.parametrize(
    ("odd", "severity", "check", "problem"),
    [
        ({"synchronised": False}, "note", "clock", "follows no time server"),
        ({"reboot_required": True}, "note", "reboot", "waits for a reboot"),
        ({"broken": ("libvirt0",)}, "warning", "packages", "half-installed packages: libvirt0"),
        ({"torsos": (("nova", "34.0.0"),)}, "note", "packages", "nova 34.0.0 only in part"),
        ({"whole": GOOD.whole[:-1]}, "error", "way-back", "runs from nova 33.0.1, which is not whole"),
        ({"keys": {"fernet": ("x", 3)}}, "error", "keys", "other fernet keys"),
        ({"keys": {"fernet": ("a", 0)}}, "error", "keys", "has no fernet keys"),
        ({"locks": {"nova": "x"}}, "error", "repository", "is not the one that the other hosts have"),
        ({"pins": {"nova": "33.0.1"}}, "error", "repository", "has nova 33.0.1, and the release is 34.0.0"),
        ({"options": {**GOOD.options, "nova upgrade_levels compute": ""}}, "error", "rpc-pin", "is not set"),
        (
            {"options": {**GOOD.options, "nova service_user send_service_user_token": "false"}},
            "warning",
            "service-token",
            "sends no service token",
        ),
        ({"options": {**GOOD.options, "keystone token expiration": "600"}}, "warning", "service-token", "tokens live"),
    ],
)
def test_what_is_odd_on_a_host_is_told(odd: dict[str, Any], severity: str, check: str, problem: str) -> None:
    found = judged(**odd)
    assert found
    for finding in found:
        assert (finding.severity, finding.check) == (severity, check)
        assert "ctl2" in finding.subject
        assert "ctl1" not in finding.subject
        assert problem in finding.problem
        assert finding.remedy


def test_a_worker_on_a_host_of_the_cloud_is_told() -> None:
    assert {finding.check for finding in judged(own="m")} == {"worker"}


def test_a_host_whose_configuration_cannot_be_read_is_not_judged_by_it() -> None:
    assert judged(options={}) == ()


def test_a_host_that_runs_two_versions_is_not_judged_by_what_is_installed() -> None:
    facts = {**good().hosts, "ctl2": HostFacts(running={**CONTROL, "keystone": "1+2"}, free_bytes=1, boot_id="b")}
    assert judge_hosts(REQUEST, {"ctl2": GOOD}, facts) == ()
