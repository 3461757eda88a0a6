"""What a reboot's report says of hosts and guests, and how it is shown."""

from typing import Any

import pytest
from rich.console import Console

from activities.report import render_html
from cli.summary import summary
from cli.view import screen
from model.base import JsonObject
from model.placement.records import Skipped
from model.plan import Plan
from model.reboot_report import GuestLine, guest_line, report_fleet, tell_guest
from model.reboot_spec import RebootRequest
from model.report import Tone, make_page
from model.route import fleet_line, way
from model.status import FleetStatus, Report, RunState, StepState, StepStatus, UpgradeStatus
from tests.cli.runs import at
from tests.workflows.reboot_cloud import fleet, plan_of, request
from workflows.details import current_details
from workflows.fleet_view import FleetView, open_hooks, spares_for
from workflows.ledger import pending

RESULT = plan_of(RebootRequest.model_validate(request(3, cloud="lab")), fleet(3))


def plan() -> Plan:
    assert RESULT.plan is not None
    return RESULT.plan


def states(**of: StepState) -> dict[str, StepStatus]:
    """Every step pending, but for those of the hosts that are named."""
    found = {}
    for number, step in enumerate(plan().steps):
        state = of.get(step.target, StepState.PENDING)
        times = {"started": at(f"10:{number:02}:00"), "ended": at(f"10:{number:02}:30")}
        done = times if state is StepState.DONE else {}
        found[step.id] = pending(step).model_copy(update={"state": state, **done})
    return found


def moved(guest: str, source: str, target: str, **more: Any) -> JsonObject:
    return {"guest": guest, "name": guest.upper(), "how": "live", "from": source, "to": target, **more}


DETAILS: dict[str, JsonObject] = {
    "cmp1/drain": {"guests": [moved("a", "cmp1", "cmp2", seconds=12.0, paused=0.238, failed={"live": 1})]},
    "cmp2/drain": {
        "guests": [moved("a", "cmp2", "cmp1", seconds=8.0), {"guest": "s", "how": "stop", "from": "cmp2", "to": "cmp2"}]
    },
    "cmp2/start": {"started": ["s"], "failed": {}, "off": {"s": 95.0}},
    "cmp1/reboot": {"kernel": "6.1.0-41-amd64"},
}


def test_guests_and_hosts_are_counted() -> None:
    done = states(cmp1=StepState.DONE, cmp2=StepState.DONE)
    told = report_fleet(plan(), done, DETAILS, RESULT.outlook)
    assert (told.movers, told.moves, told.most, told.failed) == (1, 2, 2, 1)
    assert told.hows == {"live": 2, "stop": 1}
    twice, stopped = told.guests
    assert twice == GuestLine(
        guest="a",
        name="A",
        how=("live", "live"),
        path=("cmp1", "cmp2", "cmp1"),
        moves=2,
        seconds=(12.0, 8.0),
        paused=0.238,
        failed=1,
    )
    assert (stopped.guest, stopped.moves, stopped.restarts) == ("s", 0, 1)
    assert (stopped.paused, stopped.off) == (None, 95.0)
    assert (told.paused, told.pauses) == (0.238, 1)
    hosts = {host.host: host for host in told.hosts}
    assert (hosts["cmp1"].guests, hosts["cmp1"].kernel, hosts["cmp1"].state) == (1, "6.1.0-41-amd64", StepState.DONE)
    assert hosts["cmp1"].seconds == {"drain": 30.0, "reboot": 30.0, "verify": 30.0, "guests": 30.0}
    assert hosts["cmp1"].away is not None
    assert (hosts["cmp2"].guests, hosts["cmp3"].state, hosts["cmp3"].away) == (1, StepState.PENDING, None)


def test_the_longest_pause_counts_and_a_cold_move_is_no_pause() -> None:
    rows: dict[str, JsonObject] = {
        "cmp1/drain": {"guests": [moved("a", "cmp1", "cmp2", paused=0.3), {**moved("c", "cmp1", "cmp3"), "off": 31.0}]},
        "cmp2/drain": {"guests": [moved("a", "cmp2", "cmp3", paused=0.2), moved("b", "cmp2", "cmp3")]},
    }
    rows["cmp1/drain"]["guests"][1]["how"] = "cold"
    told = report_fleet(plan(), states(), rows, RESULT.outlook)
    lines = {line.guest: line for line in told.guests}
    assert (lines["a"].paused, lines["b"].paused, lines["c"].paused, lines["c"].off) == (0.3, None, None, 31.0)
    assert (told.paused, told.pauses, told.hows["live"]) == (0.3, 2, 3)


def test_what_was_done_to_a_guest_is_told() -> None:
    def said(guest: str) -> str:
        line = guest_line(plan(), DETAILS, guest)
        return tell_guest(line) if line else ""

    way = "moved live on the way cmp1 → cmp2 → cmp1 in 20 s"
    assert said("A") == said("a") == f"done: {way}; its longest pause was 238 ms; 1 attempt failed"
    assert said("s") == "done: stayed on its host, stopped; off for 1:35 min"
    assert said("nobody") == ""
    unknown = guest_line(plan(), {"cmp1/drain": {"guests": [moved("a", "cmp1", "cmp2")]}}, "a")
    assert unknown is not None
    assert tell_guest(unknown) == "done: moved live on the way cmp1 → cmp2; its longest pause is not known"


def test_how_far_the_fleet_is() -> None:
    working = states(cmp1=StepState.DONE)
    working["cmp2/disable"] = working["cmp2/disable"].model_copy(update={"state": StepState.RUNNING})
    outlook = RESULT.outlook.model_copy(update={"skipped": (Skipped(host="cmp9", reason="x", exposed=True),)})
    found = FleetView(plan(), outlook).status(working)
    assert (found.waves, found.done, found.working, found.left) == (3, 1, 1, 1)
    assert (found.guests, found.exposed) == (RESULT.outlook.cost.moves if RESULT.outlook.cost else None, ("cmp9",))
    assert fleet_line(found) == (
        f"wave 1 of 3 · hosts done 1, in work 1, left 1 · {found.guests_left} of {found.guests} moves of guests left · "
        "exposed: cmp9"
    )


def test_spares_are_hosts_that_are_done_or_need_nothing() -> None:
    assert spares_for(plan(), states(), RESULT.outlook, "cmp1") == ()
    assert spares_for(plan(), states(cmp1=StepState.DONE), RESULT.outlook, "cmp2") == ("cmp1",)
    clean = RESULT.outlook.model_copy(update={"clean": ("cmp7", "cmp8")})
    found = spares_for(plan(), states(cmp1=StepState.DONE), clean, "cmp2")
    assert sorted(found) == ["cmp1", "cmp7", "cmp8"]


def test_hooks_of_waves_that_are_over_are_not_taken_back() -> None:
    hooks = {"before_wave": [{"run": "a", "undo": "b", "at": "ctl1"}, {"run": "c", "at": "ctl1"}]}
    made = plan_of(RebootRequest.model_validate(request(3, cloud="lab", hooks=hooks)), fleet(3)).plan
    assert made is not None
    steps = {step.id: pending(step).model_copy(update={"state": StepState.PENDING}) for step in made.steps}

    def end(*ids: str) -> None:
        for id_ in ids:
            steps[id_] = steps[id_].model_copy(update={"state": StepState.DONE})

    end("wave/1/before_wave-1", "wave/1/before_wave-2")
    assert [step.id for step in open_hooks(made, steps)] == ["wave/1/before_wave-1"]
    end("wave/1/health", "wave/2/before_wave-1")
    assert [step.id for step in open_hooks(made, steps)] == ["wave/2/before_wave-1"]


def status(state: RunState, **more: Any) -> UpgradeStatus:
    content = {
        "kind": "RollingReboot",
        "upgrade": "lab-reboot-1",
        "cloud": "lab",
        "source": "2026.1",
        "target": "2026.1",
        "state": state,
        "started": at("10:00:00"),
        "now": at("11:00:00"),
        "fleet": FleetStatus(waves=3, wave=2, done=1, working=1, left=1, guests=4, guests_left=2),
    }
    return UpgradeStatus.model_validate({**content, **more})


def report(state: RunState, **more: Any) -> Report:
    done = states(cmp1=StepState.DONE, cmp2=StepState.DONE, cmp3=StepState.DONE)
    told = report_fleet(plan(), done, DETAILS, RESULT.outlook)
    run = status(state, ended=at("11:00:00"), **more)
    return Report(status=run, steps=tuple(done.values()), events=(), fleet=told.model_dump(mode="json"))


def text_of(shown: Any) -> str:
    console = Console(width=160, record=True, file=None)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_a_report_of_a_reboot_speaks_of_hosts_and_guests() -> None:
    page = make_page(report(RunState.COMPLETED))
    assert (page.tone, page.headline) == (Tone.GOOD, "lab's hypervisors are done")
    facts = {fact.label: fact for fact in page.facts}
    assert facts["hosts"].value == "3 of 3 done"
    assert facts["moves of guests"].value == "2"
    assert facts["guests stopped"].value == "1"
    assert facts["longest pause of a guest"].value == "238 ms"
    assert facts["longest pause of a guest"].note == "A; known of 1 of 2 live moves"
    assert facts["longest off"].value == "1:35 min"
    assert facts["release"].value == "2026.1"
    html = render_html(report(RunState.COMPLETED))
    assert ">238 ms<" in html
    assert ">1:35 min<" in html
    assert "known of 1 of 2 live moves" in html
    assert "cmp1 → cmp2 → cmp1" in html
    assert "6.1.0-41-amd64" in html
    shown = text_of(summary(report(RunState.COMPLETED)))
    assert "lab's hypervisors are done" in shown
    assert "238 ms" in shown
    assert "1:35 min" in shown
    assert "cmp3" in shown


def test_pauses_that_nobody_knows_are_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETAILS, "cmp1/drain", {"guests": [moved("a", "cmp1", "cmp2", seconds=12.0)]})
    page = make_page(report(RunState.COMPLETED))
    fact = next(fact for fact in page.facts if fact.label == "longest pause of a guest")
    assert (fact.value, fact.note) == ("not known", "no hypervisor could be asked")
    assert "no hypervisor could be asked" in render_html(report(RunState.COMPLETED))
    assert "not known" in text_of(summary(report(RunState.COMPLETED)))


def test_what_was_not_done_is_no_good_news() -> None:
    assert make_page(report(RunState.STOPPED)).tone is Tone.BAD
    assert make_page(report(RunState.REFUSED)).headline == "the reboot of lab was refused"
    exposed = FleetStatus(waves=1, wave=1, done=1, working=0, left=0, exposed=("cmp9",))
    assert make_page(report(RunState.COMPLETED, fleet=exposed)).tone is Tone.WARN


def test_every_view_says_that_it_is_a_reboot() -> None:
    now = status(RunState.RUNNING)
    assert way(now) == "2026.1 rolling reboot"
    assert "wave 2 of 3 · hosts done 1, in work 1, left 1" in text_of(screen(now))
    assert "lab: 2026.1 rolling reboot: running" in current_details(now)
    upgrade = now.model_copy(update={"kind": "RollingUpgrade", "target": "2026.2", "fleet": None})
    assert way(upgrade) == "2026.1 → 2026.2"
    assert "lab: 2026.1 to 2026.2: running" in current_details(upgrade)
