"""Balancer, queue, certificates and the services' own checks: one thing wrong, and what is said about it."""

import pytest

from model.readiness.services import judge_backends, judge_certificate, judge_queues, judge_upgrade_check
from tests.model.test_preflight import request

REQUEST = request()


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


@pytest.mark.parametrize(("days", "severity"), [(60, None), (20, "warning"), (1, "error"), (-3, "error")])
def test_certificates_that_end_soon_are_told(days: int, severity: str | None) -> None:
    found = judge_certificate("keystone at 10.0.0.5:5000", days * 86400.0)
    assert [finding.severity for finding in found] == ([severity] if severity else [])
