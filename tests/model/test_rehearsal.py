"""What a rehearsal says of a migration: which table was locked for how long, and what else was written."""

import pytest

from model.rehearsal import Copied, Measured, RehearsalReport, Simulated, Statement, describe, statements_of

ROWS = [
    ("12.5", "200000", "ALTER TABLE nova.`instances` MODIFY\n  compute_id bigint"),
    ("0.3", "0", "CREATE INDEX i ON services (host)"),
    ("2.5", "50", "UPDATE instances SET x = 1"),
    ("0.1", "7", "INSERT INTO t VALUES (1)"),
]


def report(**changes: object) -> RehearsalReport:
    base = RehearsalReport(
        run="r", cloud="c", source="a", target="b", host="h", started="2026-01-01T00:00:00+00:00", untouched=True
    )
    return base.model_copy(update=changes)


def measured(**changes: object) -> Measured:
    statements, writes, written = statements_of(ROWS)
    step = Measured(
        id="expand/nova/db-sync",
        title="expand",
        service="nova",
        ok=True,
        seconds=15,
        statements=statements,
        writes=writes,
        written=written,
    )
    return step.model_copy(update=changes)


def test_statements_that_change_a_schema_come_first_with_their_tables() -> None:
    step = measured()
    assert [(one.table, one.seconds, one.copies) for one in step.statements] == [
        ("instances", 12.5, True),
        ("services", 0.3, False),
        ("instances", 2.5, False),
    ]
    assert (step.writes, step.written, step.longest) == (2, 57, 12.5)
    assert [lock.table for lock in step.locks] == ["instances"]


def test_a_step_is_described_by_what_users_would_notice() -> None:
    text = "2 changes of the schema; 57 rows written; instances cannot be written for 12 s, 200000 rows copied"
    assert describe(measured()) == text
    assert describe(measured(statements=(), written=0)) == "nothing to do"
    assert describe(measured(ok=False, status=1)) == "failed with status 1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": (measured(ok=False),)},
        {"problems": ("no room",)},
        {"untouched": False},
        {"simulated": Simulated(state="rolled_back", message="")},
        {"simulated": Simulated(state="completed", message="", violations=("two members of a group on a host",))},
    ],
)
def test_whatever_went_wrong_makes_the_upgrade_unfit(wrong: dict[str, object]) -> None:
    assert report(steps=(measured(),)).ok
    assert not report(steps=(measured(),), **wrong).ok if "steps" not in wrong else not report(**wrong).ok


def test_durations_are_by_the_steps_of_the_plan() -> None:
    copied = Copied(service="nova", bytes=1, tables=2, dump_seconds=7, restore_seconds=9)
    failed = measured(id="finish/nova/x", ok=False)
    assert report(steps=(measured(), failed), copies=(copied,)).durations == {
        "expand/nova/db-sync": 15,
        "snapshot/nova": 7 + 9,
    }


def test_what_is_hidden_in_a_statement_is_found() -> None:
    for text, table in {
        "ALTER TABLE IF EXISTS `a`.`b` ADD c INT": "b",
        "RENAME TABLE x TO y": "x",
        "DROP INDEX i ON t": "t",
        "DELETE FROM u WHERE 1": "u",
    }.items():
        ((statement, *_), _, _) = statements_of([("1", "0", text)])
        assert statement.table == table
    assert Statement(text="ALTER TABLE t", table="t", seconds=1, rows=0).copies is False
