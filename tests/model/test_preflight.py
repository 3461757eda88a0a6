"""What speaks against an upgrade, as a table: one thing wrong with a good cloud, and what is said about it."""

from collections.abc import Callable
from typing import Any

import pytest

from model.inventory import Inventory
from model.nova import Migration
from model.preflight import clock_skew, judge, judge_allocations, judge_clocks, judge_migrations, running_release
from model.spec import UpgradeRequest, UpgradeSpec
from model.work import Capacity, Facts, GuestFacts, HostFacts, ServiceRecord

CONTROL = {
    "keystone": "29.0.1",
    "placement": "15.0.0",
    "glance": "32.0.0",
    "nova-api": "33.0.1",
    "nova-conductor": "33.0.1",
    "nova-scheduler": "33.0.1",
}
HOSTS = {"infra1": "database load-balancer", "ctl1": "control", "ctl2": "control", "cmp1": "compute", "cmp2": "compute"}


def request(**spec: Any) -> UpgradeRequest:
    hosts = {name: {"address": "10.0.0.1", "roles": roles.split()} for name, roles in HOSTS.items()}
    inventory = {
        "cloud": "lab",
        "release": "2026.1",
        "openstack": {"cloud": "lab"},
        "ssh": {"key": "key", "known_hosts": "known_hosts"},
        "hosts": hosts,
        "database": {"host": "infra1"},
        "load_balancer": {"host": "infra1", "address": "10.0.0.1"},
    }
    return UpgradeRequest(spec=UpgradeSpec(to="2026.2", **spec), inventory=Inventory.model_validate(inventory))


def host(**running: str | None) -> HostFacts:
    return HostFacts(running=running, free_bytes=10**11, boot_id="b")


def guest(name: str, host: str | None = "cmp1", status: str = "ACTIVE", task: str | None = None) -> GuestFacts:
    return GuestFacts(id=f"id-{name}", name=name, host=host, status=status, task_state=task)


def row(binary: str, host: str, state: str = "up", status: str = "enabled", reason: str | None = None) -> ServiceRecord:
    return ServiceRecord(binary=binary, host=host, state=state, status=status, disabled_reason=reason)


def good(**changes: Any) -> Facts:
    parts: dict[str, Any] = {
        "hosts": {
            "infra1": host(),
            "ctl1": host(**CONTROL),
            "ctl2": host(**CONTROL),
            "cmp1": host(**{"nova-compute": "33.0.1"}),
            "cmp2": host(**{"nova-compute": "33.0.1"}),
        },
        "guests": (guest("a"), guest("b", "cmp2", "PAUSED")),
        "services": (
            row("nova-conductor", "ctl1"),
            row("nova-scheduler", "ctl1"),
            row("nova-compute", "cmp1"),
            row("nova-compute", "cmp2"),
        ),
        "capacity": {name: Capacity(total={"MEMORY_MB": 100}, used={"MEMORY_MB": 40}) for name in ("cmp1", "cmp2")},
    }
    return Facts.model_validate({**parts, **changes})


def with_host(name: str, facts: HostFacts) -> Facts:
    return good(hosts={**good().hosts, name: facts})


def with_services(*rows: ServiceRecord) -> Facts:
    return good(services=tuple({(r.binary, r.host): r for r in (*good().services, *rows)}.values()))


def test_nothing_speaks_against_a_good_cloud() -> None:
    assert judge(good(), request()) == ()


Case = tuple[Callable[[], Facts], str, str, str]
CASES: dict[str, Case] = {
    "a unit is down": (
        lambda: with_host("cmp1", host(**{"nova-compute": None})),
        "error", "nova-compute on cmp1", "is not running",
    ),
    "another release": (
        lambda: with_host("cmp1", host(**{"nova-compute": "32.1.0"})),
        "error", "nova-compute on cmp1", "runs 32.1.0, but 2026.1 is 33.0.1",
    ),
    "the target already": (
        lambda: with_host("cmp1", host(**{"nova-compute": "34.0.0"})),
        "error", "nova-compute on cmp1", "already runs 34.0.0, the version of 2026.2",
    ),
    "a service down in nova": (
        lambda: with_services(row("nova-scheduler", "ctl1", "down")),
        "error", "nova-scheduler on ctl1", "is down by nova's list of services",
    ),
    "disabled by somebody": (
        lambda: with_services(row("nova-compute", "cmp1", status="disabled", reason="disk")),
        "warning", "nova-compute on cmp1", "is disabled (disk)",
    ),
    "a compute host that the inventory lacks": (
        lambda: with_services(row("nova-compute", "cmp9")),
        "error", "nova-compute on cmp9", "not a compute host of the inventory",
    ),
    "a compute host that nova lacks": (
        lambda: good(services=good().services[:-1]),
        "error", "nova-compute on cmp2", "is not in nova's list of services",
    ),
    "a guest in ERROR without a host": (
        lambda: good(guests=(guest("a", None, "ERROR"),)),
        "warning", "guests", "1 in ERROR without a host: a",
    ),
    "a guest in mid-task": (
        lambda: good(guests=(guest("a", task="rebooting"),)),
        "warning", "guests", "1 are being changed just now: a (rebooting)",
    ),
    "no disk": (
        lambda: with_host("cmp1", HostFacts(running={"nova-compute": "33.0.1"}, free_bytes=2 * 10**8, boot_id="b")),
        "error", "cmp1", "has 200 MB free below /opt/openstack, and the new release needs up to 460 MB",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_thing_is_wrong(name: str) -> None:
    make, severity, subject, problem = CASES[name]
    found = [finding for finding in judge(make(), request()) if finding.subject == subject]
    assert [finding.severity for finding in found] == [severity]
    assert problem in found[0].problem
    assert found[0].remedy


def test_what_is_the_same_on_several_hosts_is_told_once() -> None:
    stopped = host(**{"nova-compute": None})
    (finding,) = judge(good(hosts={**good().hosts, "cmp1": stopped, "cmp2": stopped}), request())
    assert (finding.subject, finding.problem) == ("nova-compute on cmp1, cmp2", "is not running")


@pytest.mark.parametrize(
    ("nova", "others", "problem", "remedy"),
    [
        (
            "34.0.0",
            {"keystone": "30.0.0", "placement": "16.0.0", "glance": "33.0.0"},
            "is 2026.1 in the inventory, but the whole cloud already runs 2026.2, the target",
            "set release: 2026.2 in the inventory, and a later target",
        ),
        (
            "32.0.0",
            {"keystone": "28.0.0", "placement": "14.0.0", "glance": "31.0.0"},
            "is 2026.1 in the inventory, but the whole cloud already runs 2025.2",
            "set release: 2025.2 in the inventory",
        ),
    ],
)
def test_a_wrong_release_in_the_inventory_is_one_finding(
    nova: str, others: dict[str, str], problem: str, remedy: str
) -> None:
    control = host(**{unit: others.get(unit, nova) for unit in CONTROL})
    compute = host(**{"nova-compute": nova})
    hosts = {"infra1": host(), "ctl1": control, "ctl2": control, "cmp1": compute, "cmp2": compute}
    (finding,) = judge(good(hosts=hosts), request())
    assert (finding.severity, finding.subject, finding.problem) == ("error", "release", problem)
    assert finding.remedy == remedy


def test_errors_come_first_and_all_at_once() -> None:
    facts = good(
        hosts={**good().hosts, "cmp2": host(**{"nova-compute": None}), "ctl1": host(**CONTROL | {"glance": None})},
        guests=(guest("a", task="rebooting"), guest("b")),
    )
    assert [finding.severity for finding in judge(facts, request())] == ["error"] * 2 + ["warning"]


@pytest.mark.parametrize("most", [2, "100%"])
def test_all_hosts_out_at_once_are_refused(most: int | str) -> None:
    (error,) = judge(good(), request(max_unavailable=most))
    assert (error.severity, error.subject) == ("error", "max_unavailable")


def test_one_control_host_would_mean_downtime_and_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(HOSTS, "ctl2")
    hosts = {name: facts for name, facts in good().hosts.items() if name != "ctl2"}
    (finding,) = judge(good(hosts=hosts), request())
    assert (finding.severity, finding.subject) == ("error", "control plane")


def test_unfinished_migrations() -> None:
    def move(status: str) -> Migration:
        return Migration(id=1, guest="g", kind="resize", status=status, source="cmp1", target="cmp2")

    assert judge_migrations([move("completed"), move("error")]) == ()
    running, resized = judge_migrations([move("running"), move("finished")])
    assert "wait" in running.remedy
    assert "resize confirm g" in resized.remedy


def test_orphan_allocations() -> None:
    moving = Migration(id=1, uuid="m", guest="x", kind="live-migration", status="running", source="cmp1")
    assert judge_allocations("cmp1", ["id-a", "m"], [guest("a")], [moving]) == ()
    (finding,) = judge_allocations("cmp1", ["id-a", "id-x"], [guest("a")], [])
    assert "id-x" in finding.problem
    elsewhere = guest("x", host="cmp2")
    (finding,) = judge_allocations("cmp1", ["id-x"], [elsewhere], [])
    assert "id-x" in finding.problem


def test_what_is_being_made_or_moved_holds_room_before_it_is_there() -> None:
    made = guest("new", host=None, status="BUILD", task="scheduling")
    arriving = guest("moved", host="cmp2", status="MIGRATING", task="migrating")
    assert judge_allocations("cmp1", ["id-new", "id-moved"], [made, arriving], []) == ()


def test_clocks() -> None:
    (finding,) = judge_clocks({"cmp1": 0.5, "cmp2": -61.0})
    assert (finding.subject, "-61 s" in finding.problem) == ("cmp2", True)


@pytest.mark.parametrize(("clock", "skew"), [(100.0, 0.0), (130.0, 0.0), (160.0, 0.0), (93.0, -7.0), (169.0, 9.0)])
def test_a_host_that_is_slow_to_answer_has_no_wrong_clock(clock: float, skew: float) -> None:
    assert clock_skew(clock, asked=100.0, answered=160.0) == skew


def test_the_running_release_is_the_one_of_every_unit_or_else_the_inventory_s() -> None:
    hosts = dict(good().hosts)
    assert running_release(request(), hosts).id == "2026.1"
    assert running_release(request(), {}).id == "2026.1"
    later = {"keystone": "30.0.0", "placement": "16.0.0", "glance": "33.0.0"} | dict.fromkeys(
        (unit for unit in CONTROL if unit.startswith("nova")), "34.0.0"
    )
    whole = {"ctl1": host(**later), "ctl2": host(**later)}
    assert running_release(request(), whole).id == "2026.2"
    assert running_release(request(), whole | {"ctl2": host(**CONTROL)}).id == "2026.1"
