"""Cases come from what steps do, one for each fault that fits, and are the same in every run of the matrix."""

import pytest

from simulator.cloud import SimCloud
from simulator.faults import Occasion
from simulator.settings import SimSpec
from tests.chaos.cases import Case, faults_at, make_cases
from tests.chaos.points import Place, Point, Record, point_of, representatives


@pytest.fixture
def cloud() -> SimCloud:
    return SimCloud(SimSpec(compute=2))


def test_a_point_has_no_name_that_only_one_run_has() -> None:
    request = Occasion("request", "request", ("ctl2", "nova-api", "nova"), ("* /x", f"GET /v2.1/servers/{'0' * 32}"))
    assert point_of(request, "u-1") == Point("request", "nova-api", "GET /v2.1/servers/*")
    read = Occasion("command", "command", ("infra1",), ("read", "read:/var/lib/stackroll/baselines/u-1.json"))
    assert point_of(read, "u-1") == Point("command", "infra1", "read:/var/lib/stackroll/baselines/*.json")


def test_of_hosts_with_the_same_roles_one_stands_for_all(cloud: SimCloud) -> None:
    points = [Point("command", host, "units") for host in ("ctl1", "ctl2", "cmp1", "cmp2")]
    assert [point.on for point in representatives(points, cloud)] == ["ctl1", "cmp1"]


def test_each_kind_of_point_has_the_faults_that_fit_it(cloud: SimCloud) -> None:
    def ways(what: str, on: str, at: str) -> list[str]:
        return sorted({fault.how for fault in faults_at(Point(what, on, at), cloud)})

    assert ways("job", "cmp1", "install:nova") == [
        "disconnect", "disk-full", "exit", "gone", "hang", "restarts-services", "slow",
    ]  # fmt: skip
    assert ways("job", "infra1", "dump:keystone") == [
        "disconnect", "disk-full", "exit", "gone", "hang", "slow", "truncated",
    ]  # fmt: skip
    assert ways("request", "nova-api", "GET /v2.1/servers") == ["disconnect", "hang", "http"]
    assert ways("migration", "cmp1", "drain") == ["error", "gone", "guest-error", "never-converges", "slow"]
    statuses = {getattr(f, "status", 0) for f in faults_at(Point("request", "nova-api", "PUT /x"), cloud)}
    assert {409, 500} <= statuses


def test_a_new_step_has_cases_without_anyone_remembering(cloud: SimCloud) -> None:
    record = Record()
    record.add(Place("new/step", undo=False), Point("job", "ctl1", "polish:nova"))
    cases = make_cases(record, cloud)
    assert {case.place.step for case in cases} == {"new/step"}
    assert len({case.id for case in cases}) == len(cases) > 6
    assert [case.id for case in make_cases(record, cloud)] == [case.id for case in cases]
    assert {Case.load(case.dump()) for case in cases} == set(cases)
