"""The state of hosts, databases, queues and balancer: one thing wrong, and what is said about it."""

from typing import Any

import pytest

from model.readiness import (
    DatabaseState,
    HostState,
    ServiceVersion,
    Shipped,
    judge_backends,
    judge_certificate,
    judge_database,
    judge_hosts,
    judge_queues,
    judge_schemas,
    judge_upgrade_check,
)
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


RECORDS = tuple(ServiceVersion("nova-compute", host, 72) for host in ("cmp1", "cmp2"))
GALERA = {
    "wsrep_cluster_size": "3",
    "wsrep_cluster_status": "Primary",
    "wsrep_local_state_comment": "Synced",
    "wsrep_ready": "ON",
}


@pytest.mark.parametrize(
    ("state", "room", "severity", "check", "problem"),
    [
        (DatabaseState(bytes={"nova": 10**9}), {"/v": 10**9}, "error", "space", "need up to 1500 MB"),
        (
            DatabaseState(cluster={**GALERA, "wsrep_cluster_status": "non-Primary"}),
            {},
            "error",
            "quorum",
            "not Primary",
        ),
        (
            DatabaseState(cluster={**GALERA, "wsrep_local_state_comment": "Donor"}),
            {},
            "error",
            "quorum",
            "is Donor, not Synced",
        ),
        (DatabaseState(cluster={**GALERA, "wsrep_cluster_size": "2"}), {}, "warning", "quorum", "has 2 nodes"),
        (DatabaseState(records=(*RECORDS, RECORDS[0])), {}, "error", "service-records", "has 2 service records"),
        (
            DatabaseState(records=(ServiceVersion("nova-compute", "cmp9", 66),)),
            {},
            "error",
            "service-records",
            "record of version 66, and 2026.1 is 72",
        ),
        (DatabaseState(cells=("a", "b")), {}, "warning", "rpc-pin", "has 2 cells (a, b)"),
        (DatabaseState(images=(("i1", "saving"),)), {}, "warning", "running-tasks", "1 image just being written"),
        (DatabaseState(tasks=(("t1", "processing"),)), {}, "warning", "running-tasks", "1 task in progress"),
    ],
)
def test_what_is_wrong_in_the_database_is_told(
    state: DatabaseState, room: dict[str, int], severity: str, check: str, problem: str
) -> None:
    (finding,) = judge_database(REQUEST, state, room)
    assert (finding.severity, finding.check) == (severity, check)
    assert problem in finding.problem


def test_a_good_database_is_not_spoken_of() -> None:
    state = DatabaseState(bytes={"nova": 10**6}, cluster=GALERA, cells=("cell1",), records=RECORDS)
    assert judge_database(REQUEST, state, {"/v": 10**9}) == ()


def test_every_api_is_behind_the_balancer_on_every_control_host() -> None:
    places = [(api, host) for api in ("keystone", "placement", "glance", "nova-api") for host in ("ctl1", "ctl2")]
    servers = [(api, host, "UP") for api, host in places]
    assert judge_backends(REQUEST.inventory, servers, up=places) == ()
    found = judge_backends(
        REQUEST.inventory,
        [*servers[:6], ("nova-api", "ctl1", "MAINT")],
        up=[place for place in places if place[0] != "nova-api"],
    )
    assert {finding.subject: finding.problem for finding in found} == {
        "nova-api on ctl1": "was taken out of the load balancer (MAINT)",
        "nova-api on ctl2": "is not behind the load balancer",
    }
    assert found[0].commands == ("echo 'set server nova-api/ctl1 state ready' | socat stdio /run/haproxy/admin.sock",)


def test_a_queue_without_a_listener_is_told() -> None:
    heard = {"conductor": 2, "scheduler": 2, "compute.cmp1": 1, "compute.cmp2": 1}
    assert judge_queues(REQUEST.inventory, heard, ()) == ()
    (finding,) = judge_queues(REQUEST.inventory, {**heard, "compute.cmp2": 0}, ())
    assert finding.subject == "nova-compute on cmp2"
    (alarm,) = judge_queues(REQUEST.inventory, heard, ["memory"])
    assert "memory" in alarm.problem
    assert judge_queues(REQUEST.inventory, {}, ()) == ()


CHECKED = """\
+------------------------------------------------------------+
| Upgrade Check Results                                      |
+------------------------------------------------------------+
| Check: Cells v2                                            |
| Result: Success                                            |
| Details: None                                              |
+------------------------------------------------------------+
| Check: Service User Token Configuration                    |
| Result: Failure                                            |
| Details: Service user token configuration is required for  |
|   all Nova services.                                       |
+------------------------------------------------------------+
| Check: hw_machine_type unset                               |
| Result: Warning                                            |
| Details: Instances found without hw_machine_type set.      |
+------------------------------------------------------------+
"""


def test_what_a_services_own_check_says_is_told() -> None:
    failure, caution = judge_upgrade_check("nova", "34.0.0", 2, CHECKED)
    assert failure.severity == "error"
    assert failure.problem == (
        "Service User Token Configuration: Service user token configuration is required for all Nova services."
    )
    assert caution.severity == "warning"
    assert (
        judge_upgrade_check("nova", "34.0.0", 0, CHECKED.replace("Failure", "Success").replace("Warning", "Success"))
        == ()
    )


def test_a_check_that_breaks_off_is_told_with_its_last_words() -> None:
    (finding,) = judge_upgrade_check("keystone", "30.0.0", 1, "Traceback\nImportError: no ldap\n")
    assert finding.severity == "warning"
    assert "ImportError: no ldap" in finding.problem


def test_a_schema_at_another_revision_is_told() -> None:
    schemas = {"nova": ("a",), "glance": ("b",), "keystone": ("c", "d")}
    glance = Shipped(("b",), frozenset("ab"))
    assert judge_schemas(schemas, {"nova": Shipped(("a",), frozenset("a")), "glance": glance}, "2026.1") == ()
    (behind,) = judge_schemas(schemas, {"nova": Shipped(("z",), frozenset("az")), "glance": glance}, "2026.1")
    assert (behind.subject, behind.severity) == ("schema nova", "error")
    (nothing,) = judge_schemas({"nova": ()}, {"nova": Shipped(("z",), frozenset("az"))}, "2026.1")
    assert nothing.severity == "error"


def test_a_schema_that_a_rollback_has_left_behind_forbids_nothing() -> None:
    (ahead,) = judge_schemas({"nova": ("b",)}, {"nova": Shipped(("a",), frozenset("a"))}, "2026.1")
    assert (ahead.subject, ahead.severity) == ("schema nova", "note")


@pytest.mark.parametrize(("days", "severity"), [(60, None), (20, "warning"), (1, "error"), (-3, "error")])
def test_certificates_that_end_soon_are_told(days: int, severity: str | None) -> None:
    found = judge_certificate("keystone at 10.0.0.5:5000", days * 86400.0)
    assert [finding.severity for finding in found] == ([severity] if severity else [])


def test_what_a_finding_is_about_can_be_read_by_programs() -> None:
    finding = Finding(severity="error", subject="nova-api on ctl1, ctl2", problem="p", remedy="`a`, then `b -c`")
    assert finding.word == "blocker"
    assert finding.commands == ("a", "b -c")
    assert finding.hosts_among(["ctl1", "ctl2", "cmp1"]) == ("ctl1", "ctl2")


def test_a_host_that_runs_two_versions_is_not_judged_by_what_is_installed() -> None:
    facts = {**good().hosts, "ctl2": HostFacts(running={**CONTROL, "keystone": "1+2"}, free_bytes=1, boot_id="b")}
    assert judge_hosts(REQUEST, {"ctl2": GOOD}, facts) == ()
