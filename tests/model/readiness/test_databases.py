"""The database server: one thing wrong, and what is said about it."""

import pytest

from model.readiness.databases import DatabaseState, ServiceVersion, Shipped, judge_database, judge_schemas
from model.releases import RELEASES
from tests.model.test_preflight import request

REQUEST = request()

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
    (finding,) = judge_database(REQUEST.inventory, state, room, RELEASES["2026.1"])
    assert (finding.severity, finding.check) == (severity, check)
    assert problem in finding.problem


def test_a_good_database_is_not_spoken_of() -> None:
    state = DatabaseState(bytes={"nova": 10**6}, cluster=GALERA, cells=("cell1",), records=RECORDS)
    assert judge_database(REQUEST.inventory, state, {"/v": 10**9}, RELEASES["2026.1"]) == ()


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
