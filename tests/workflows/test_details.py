"""The Markdown that Temporal's web UI shows."""

from model.plan import Phase
from model.status import HostStatus, PhaseStatus, RunState, StepState, StepStatus, UpgradeStatus, Waiting
from workflows.details import current_details, group_details

START = "2026-06-01T08:00:00.000+00:00"


def status(**more: object) -> UpgradeStatus:
    known = {"upgrade": "june", "cloud": "prod", "source": "2026.1", "target": "2026.2", "state": RunState.RUNNING}
    return UpgradeStatus.model_validate({**known, "started": START, "now": START, **more})


def drain(host: str, **more: object) -> StepStatus:
    step = {"id": f"{host}/drain", "title": f"drain {host}", "phase": Phase.DATA, "target": host}
    return StepStatus.model_validate({**step, "state": StepState.RUNNING, "started": START, **more})


def host(name: str, state: StepState, done: int, doing: str = "") -> HostStatus:
    return HostStatus(host=name, total=6, done=done, doing=doing, since=START if doing else None, state=state)


def test_it_says_what_runs_where_and_leaves_out_zeros() -> None:
    text = current_details(
        status(
            running=(drain("cmp2", tries=2),),
            phases=(PhaseStatus(phase=Phase.DATA, total=12, done=8, running=1, failed=0),),
            hosts=(
                host("ctl1", StepState.PENDING, 4),
                host("cmp1", StepState.DONE, 6),
                host("cmp2", StepState.RUNNING, 2, "drain cmp2"),
                host("cmp3", StepState.PENDING, 0),
            ),
        )
    ).replace("\u00a0", "")
    assert "- runs: drain cmp2, since 08:00:00 (try 2)" in text
    assert "| data | 8 of 12 | 1 |  |" in text
    assert "| ctl1 | 4 of 6 | between two steps |" in text
    assert "| cmp1 | 6 of 6 | done |" in text
    assert "| cmp2 | 2 of 6 | drain cmp2, since 08:00:00 |" in text
    assert "| cmp3 | 0 of 6 | not begun |" in text


def test_what_is_waited_for_can_be_copied() -> None:
    orders = "stackroll retry june cmp2/drain | stackroll skip june cmp2/drain --reason WHY"
    waiting = Waiting(what="a decision about drain cmp2", since=START, go_on=orders)
    failed = drain("cmp2", state=StepState.FAILED, error="cmp2: it broke\n  next: mend it")
    text = current_details(status(waiting=(waiting,), failed=(failed,)))
    assert "`stackroll retry june cmp2/drain` or `stackroll skip june cmp2/drain --reason WHY`" in text
    assert "**failed: drain cmp2**: cmp2: it broke next: mend it" in text


def test_a_fleet_is_cut_to_the_hosts_in_work_and_stays_within_the_limit() -> None:
    idle = [host(f"cmp{i}", StepState.DONE, 6) for i in range(2000)]
    failed = tuple(drain(f"cmp{i}", state=StepState.FAILED, error="x" * 5000) for i in range(50))
    text = current_details(status(hosts=(*idle, host("cmp9999", StepState.RUNNING, 1, "drain cmp9999"))))
    assert "| cmp9999 |" in text
    assert "of 2001 hosts: 2000 done" in text
    assert "| cmp7 |" not in text
    assert len(current_details(status(failed=failed)).encode()) < 20_000


def test_a_child_shows_its_steps_and_where_orders_go() -> None:
    text = group_details("june", [drain("cmp2", state=StepState.DONE, summary="2 guests | moved")], paused=True)
    assert "Orders go to the run: `june` (**paused**)" in text
    assert "| drain cmp2 |" in text
    assert "2 guests \\| moved" in text
