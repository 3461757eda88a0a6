"""Statuses and reports of runs, for tests that show them."""

from typing import Any

from model.plan import Phase
from model.status import (
    ApiAvailability,
    Event,
    HostStatus,
    PhaseStatus,
    Remaining,
    Report,
    RunState,
    StepState,
    StepStatus,
    UpgradeStatus,
    Waiting,
)

RUN = "lab-2026.2-20251122-234500"


def at(clock: str) -> str:
    return f"2025-11-22T{clock}+00:00"


def step(id_: str, state: StepState, phase: Phase = Phase.DATA, **more: Any) -> StepStatus:
    content = {
        "id": id_,
        "title": id_.replace("/", " "),
        "phase": phase,
        "target": id_.partition("/")[0],
        "state": state,
    }
    return StepStatus.model_validate({**content, "tries": 1, **more})


FAILED = step(
    "cmp2/switch",
    StepState.FAILED,
    title="restart nova-compute on cmp2",
    tries=3,
    started=at("23:52:00"),
    ended=at("23:52:50"),
    error="nova-compute did not stay up: exit status 1\nremedy: read `journalctl -u nova-compute` on cmp2",
)
DRAINING = step(
    "cmp1/drain", StepState.RUNNING, title="drain cmp1", tries=2, started=at("23:52:58"), summary="3 guests left"
)


def status(**more: Any) -> UpgradeStatus:
    """A run in the middle of its work."""
    content = {
        "upgrade": RUN,
        "cloud": "lab",
        "source": "2026.1",
        "target": "2026.2",
        "state": RunState.RUNNING,
        "plan_hash": "6fe8be9abc9ec6e0",
        "started": at("23:45:00"),
        "now": at("23:53:20"),
        "phases": (
            PhaseStatus(phase=Phase.PREFLIGHT, total=2, done=2, running=0, failed=0),
            PhaseStatus(phase=Phase.DATA, total=13, done=4, running=1, failed=0),
            PhaseStatus(phase=Phase.FINISH, total=1, done=0, running=0, failed=0),
        ),
        "hosts": (
            HostStatus(host="ctl1", total=40, done=40, state=StepState.DONE),
            HostStatus(host="cmp1", total=6, done=3, doing="drain cmp1", since=at("23:52:58"), state=StepState.RUNNING),
        ),
        "running": (DRAINING,),
        "remaining": Remaining(low=250, high=400),
        "events": (
            Event(at=at("23:45:00"), kind="approve", subject="plan", text="looks right", by="anna"),
            Event(at=at("23:52:58"), kind="running", subject="cmp1/drain", text="drain cmp1"),
        ),
    }
    return UpgradeStatus.model_validate({**content, **more})


def failing() -> UpgradeStatus:
    """A run that waits for a decision."""
    return status(
        state=RunState.FAILING,
        failed=(FAILED,),
        running=(),
        hosts=(HostStatus(host="cmp2", total=6, done=2, state=StepState.FAILED),),
        phases=(PhaseStatus(phase=Phase.DATA, total=13, done=4, running=0, failed=1),),
        waiting=(
            Waiting(
                what="a decision about restart nova-compute on cmp2",
                since=at("23:52:50"),
                go_on=f"stackroll retry {RUN} cmp2/switch",
            ),
        ),
        events=(),
    )


def side(version: str, host: str, microversion: str = "2.1 to 2.100") -> dict[str, Any]:
    """What an independent read found."""
    return {
        "running": {"cmp1": {"nova-compute": version}, "ctl1": {"nova-api": version, "memcached": "1.6"}},
        "guests": [{"id": "g1", "name": "web", "host": host, "status": "ACTIVE"}],
        "counts": {"guests": 1},
        "apis": {"nova-api": {"v2.1": microversion}},
    }


def report(**more: Any) -> Report:
    """The report of a run that has ended well."""
    steps = (
        step(
            "gate/plan", StepState.DONE, Phase.PREFLIGHT, target="cloud", started=at("23:45:00"), ended=at("23:45:10")
        ),
        step("ctl1/switch", StepState.DONE, Phase.CONTROL, started=at("23:45:10"), ended=at("23:47:00")),
        step(
            "cmp1/drain",
            StepState.DONE,
            started=at("23:47:00"),
            ended=at("23:55:00"),
            summary="3 guests moved",
            tries=2,
        ),
    )
    content = {
        "status": status(
            state=RunState.COMPLETED,
            ended=at("23:55:00"),
            message="lab runs 2026.2, verified by an independent read",
            running=(),
        ),
        "steps": steps,
        "events": (Event(at=at("23:45:10"), kind="approve", subject="plan", text="looks right", by="anna"),),
        "availability": (
            ApiAvailability(service="nova", requests=1200, failed=0, median=0.021, p99=0.2, longest=1.25),
        ),
        "before": side("33.0.1", "cmp1"),
        "after": side("34.0.0", "cmp2", "2.1 to 2.103"),
    }
    return Report.model_validate({**content, **more})
