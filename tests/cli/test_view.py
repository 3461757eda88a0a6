"""The screens of ``watch``, ``status`` and ``report``, as an operator sees them."""

import io

from rich.console import Console, RenderableType

from cli.summary import summary
from cli.view import event_line, plain_status, screen
from model.status import Event, HostStatus, RunState, StepState
from tests.cli.runs import FAILED, RUN, at, failing, report, side, status


def shown(renderable: RenderableType, width: int = 96) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


RUNNING = f"""\
 RUNNING   {RUN}  lab 2026.1 → 2026.2
since 23:45:00 · running 8:20 min · ends between 23:57 and 00:00 UTC · plan 6fe8be9abc9ec6e0
6 of 16 steps done, 1 running, 0 failed · remaining 4:10 min to 6:40 min

✔ preflight  ████████████████████████  2 of 2 steps
● data       ███████░░░░░░░░░░░░░░░░░  4 of 13 steps  1 running
· finish     ░░░░░░░░░░░░░░░░░░░░░░░░  0 of 1 step

running ────────────────────────────────────────────────────────────────────────────────────────
22 s  ● drain cmp1  3 guests left  try 2

hosts ──────────────────────────────────────────────────────────────────────────────────────────
✔ ctl1  40 of 40
● cmp1    3 of 6  22 s  drain cmp1

last events ────────────────────────────────────────────────────────────────────────────────────
23:45:00  approve   plan: looks right  (by anna)
23:52:58  running   drain cmp1  [cmp1/drain]"""


def test_running() -> None:
    assert shown(screen(status())) == RUNNING


FAILING = f"""\
 FAILING   {RUN}  lab 2026.1 → 2026.2
since 23:45:00 · running 8:20 min · plan 6fe8be9abc9ec6e0
4 of 13 steps done, 0 running, 1 failed · remaining 4:10 min to 6:40 min once it goes on
▲ no answer since 23:53:00 (20 s): no worker answers

● waits for a decision about restart nova-compute on cmp2  since 23:52:50 (30 s), for as long as
it takes

✗ failed restart nova-compute on cmp2  3 tries, at 23:52:50
  nova-compute did not stay up: exit status 1
  remedy: read `journalctl -u nova-compute` on cmp2
  to go on: stackroll retry {RUN} cmp2/switch --reason "…"
        or: stackroll skip {RUN} cmp2/switch --reason "…"
        or: stackroll abort {RUN} --reason "…"

✗ data  ███████░░░░░░░░░░░░░░░░░  4 of 13 steps  1 failed

hosts ──────────────────────────────────────────────────────────────────────────────────────────
✗ cmp2  2 of 6"""


def test_failing_during_an_outage() -> None:
    assert shown(screen(failing(), outage="no answer since 23:53:00 (20 s): no worker answers")) == FAILING


def test_waiting_for_an_approval_shows_the_command_that_goes_on() -> None:
    waiting = {"what": "approval of commit", "since": at("23:53:00"), "go_on": "stackroll approve x --gate commit"}
    text = shown(screen(status(state=RunState.WAITING, waiting=[waiting])))
    assert "● waits for approval of commit  since 23:53:00 (20 s), for as long as it takes" in text
    assert "  to go on: stackroll approve x --gate commit" in text


def test_a_limit_of_waiting_is_shown() -> None:
    waiting = {"what": "the soak", "since": at("23:53:00"), "until": at("23:59:00"), "go_on": "it goes on by itself"}
    assert "(20 s), until 2025-11-22 23:59:00" in shown(screen(status(waiting=[waiting])), width=120)


def test_a_later_clock_counts_on_and_an_ended_run_does_not() -> None:
    assert "running 10:00 min" in shown(screen(status(), now=at("23:55:00")))
    ended = status(ended=at("23:54:00"), state=RunState.COMPLETED, running=())
    assert "ended 23:54:00 after 9:00 min" in shown(screen(ended, now=at("23:59:00")))


def test_before_there_is_a_plan() -> None:
    text = shown(screen(status(state=RunState.PLANNING, plan_hash=None, phases=(), hosts=(), running=(), events=())))
    assert text.splitlines()[2] == "the plan is being made"


def test_of_a_big_cloud_only_hosts_in_work_are_listed() -> None:
    hosts = [HostStatus(host=f"cmp{n}", total=6, done=6, state=StepState.DONE) for n in range(400)]
    hosts += [HostStatus(host="busy", total=6, done=1, doing="drain busy", state=StepState.RUNNING)]
    hosts += [HostStatus(host=f"later{n}", total=6, done=0, state=StepState.PENDING) for n in range(99)]
    text = shown(screen(status(hosts=hosts)))
    assert "● busy  1 of 6" in text
    assert "of 500 hosts: 400 done, 99 not yet or between steps" in text
    assert len(text.splitlines()) < 30


def test_nothing_in_a_message_is_markup() -> None:
    text = shown(screen(status(message="[red]no[/red] such [host]")))
    assert "[red]no[/red] such [host]" in text


def test_an_event_is_one_line() -> None:
    event = Event(at=at("23:52:50"), kind="failed", subject="cmp2/switch", text=f"restart: {FAILED.error}")
    assert shown(event_line(event), width=300).count("\n") == 0
    assert "remedy" not in shown(event_line(event, brief=True), width=300)


def test_plain_status() -> None:
    expected = f"{RUN} running after 8:20 min: 6 of 16 steps done, 1 running, 0 failed · remaining 4:10 min to 6:40 min"
    assert plain_status(status()) == expected


SUMMARY = """\
╭──────────────────────────────────────────────────╮
│ lab runs 2026.2                                  │
│ lab runs 2026.2, verified by an independent read │
╰──────────────────────────────────────────────────╯
release   2026.1 → 2026.2
duration  10:00 min        2025-11-22 23:45:00 to 23:55:00 UTC
steps     3 of 3 done      1 further try
changed   2 units          on 2 hosts
requests  none failed      of 1,200 probes of the APIs; slowest answer 1.2 s
guests    1 of 1 well      1 on another host than before

host ┃ unit         ┃ before ┃ after
━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━
ctl1 │ memcached    │ 1.6    │ 1.6
     │ nova-api     │ 33.0.1 │ 34.0.0
cmp1 │ nova-compute │ 33.0.1 │ 34.0.0

API  ┃ requests ┃ failed ┃ median ┃    p99 ┃ slowest ┃ longest gap
━━━━━╇━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━━
nova │    1,200 │      0 │  21 ms │ 200 ms │   1.2 s │        none

who did what
23:45:10  approve   plan: looks right  (by anna)"""


def test_summary() -> None:
    assert shown(summary(report())) == SUMMARY


def test_summary_of_a_run_that_stopped() -> None:
    stopped = status(state=RunState.STOPPED, ended=at("23:54:00"), message="stopped by anna: enough", running=())
    text = shown(summary(report(status=stopped, steps=[FAILED], after={})))
    assert "lab is not wholly at 2026.2" in text
    assert "✗ failed restart nova-compute on cmp2  3 tries" in text
    assert "nova-api     │ 33.0.1 │ not read" in text
    assert "stackroll retry" not in text, "an ended run takes no orders"


def test_summary_names_what_users_lost() -> None:
    after = side("34.0.0", "cmp1")
    after["guests"], after["apis"] = (
        [{"id": "g1", "name": "web", "host": "cmp1", "status": "ERROR"}],
        {"nova-api": {"v3": ""}},
    )
    text = shown(summary(report(after=after)))
    assert "web   │ cmp1   │ cmp1  │ was ACTIVE, is ERROR" in text
    assert "nova-api offers v2.1 no more" in text
