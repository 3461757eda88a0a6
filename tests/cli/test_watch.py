"""Watching a run to its end, whatever answers meanwhile."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from cli.errors import CliError, Exit, NoAnswerError
from cli.watch import Glance, watch
from model.status import Event, RunState, UpgradeStatus
from tests.cli.runs import RUN, at, failing, status

ENDED = status(state=RunState.COMPLETED, ended=at("23:55:00"), running=(), message="lab runs 2026.2")
EVENTS = [
    Event(at=at("23:45:00"), kind="approve", subject="plan", by="anna"),
    Event(at=at("23:52:58"), kind="running", subject="cmp1/drain", text="drain cmp1"),
    Event(at=at("23:55:00"), kind="completed", subject="run", text="lab runs 2026.2"),
]


class Script:
    """A run that answers as written: a status or an error; and how it closed, at its last answer or before."""

    def __init__(
        self, answers: Sequence[UpgradeStatus | Exception], closed: str = "completed", at: int | None = None
    ) -> None:
        self._answers = list(answers)
        self._closed, self._at = closed, at or len(self._answers)
        self._looks = 0

    async def status(self, id_: str) -> UpgradeStatus:
        answer = self._answers[min(self._looks, len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def closed(self, id_: str) -> str | None:
        self._looks += 1
        answer = self._answers[min(self._looks, len(self._answers)) - 1]
        if isinstance(answer, NoAnswerError) and "Temporal" in str(answer):
            raise answer
        return self._closed if self._looks >= self._at else None

    async def timeline(self, id_: str) -> list[Event]:
        await self.status(id_)
        return EVENTS[: self._looks]


async def watched(script: Script, *, terminal: bool = False) -> tuple[Glance, list[str]]:
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None, legacy_windows=False)
    glance = await watch(script, RUN, console, interval=0)
    assert isinstance(console.file, io.StringIO)
    return glance, console.file.getvalue().splitlines()


async def test_lines_for_logs() -> None:
    glance, lines = await watched(Script([status(), status(), ENDED]))
    assert glance.exit is Exit.OK
    assert [line[10:] for line in lines if "after" not in line] == [
        "approve   plan  (by anna)",
        "running   drain cmp1  [cmp1/drain]",
        "completed run: lab runs 2026.2",
    ]
    states = [line for line in lines if "after" in line]
    assert len(states) == 2, "a line for each new state, not for each look"
    assert f"{RUN} running after" in states[0]
    assert f"{RUN} completed after 10:00 min" in states[1]


async def test_an_outage_is_said_once_and_outlived() -> None:
    silent = NoAnswerError("no worker answers")
    glance, lines = await watched(Script([status(), silent, silent, silent, ENDED]))
    assert glance.exit is Exit.OK
    assert sum("no worker answers" in line for line in lines) == 1
    assert sum("answers again" in line for line in lines) == 1


async def test_temporal_away_is_outlived_too() -> None:
    glance, lines = await watched(Script([status(), NoAnswerError("Temporal does not answer"), ENDED]))
    assert glance.exit is Exit.OK
    assert any("Temporal does not answer" in line for line in lines)


async def test_what_the_run_waits_for_is_said_with_the_command() -> None:
    _, lines = await watched(Script([failing(), failing(), ENDED]))
    waits = [line for line in lines if "waits for a decision" in line]
    assert len(waits) == 1
    assert waits[0].endswith(f"to go on: stackroll retry {RUN} cmp2/switch")


@pytest.mark.parametrize(
    ("state", "expected"),
    [(RunState.COMPLETED, Exit.OK), (RunState.STOPPED, Exit.UNFINISHED), (RunState.REFUSED, Exit.REFUSED)],
)
async def test_exit_status_says_how_it_ended(state: RunState, expected: Exit) -> None:
    glance, _ = await watched(Script([status(state=state, ended=at("23:55:00"))], closed="failed"))
    assert glance.exit is expected


async def test_a_terminated_run_ends_the_watch() -> None:
    glance, lines = await watched(Script([status(), status()], closed="terminated"))
    assert glance.exit is Exit.UNFINISHED
    assert lines[-1] == "the run was ended from outside: terminated"


async def test_an_end_without_a_worker_is_still_known() -> None:
    glance, _ = await watched(Script([NoAnswerError("no worker answers")], closed="completed"))
    assert (glance.status, glance.exit) == (None, Exit.OK)


async def test_how_it_has_ended_does_not_hang_on_one_slow_answer() -> None:
    back = status(state=RunState.ROLLED_BACK, ended=at("23:55:00"), running=(), message="lab is wholly back")
    silent = NoAnswerError("no worker answers")
    glance, lines = await watched(Script([status(), silent, back], closed="failed", at=2))
    assert glance.exit is Exit.ROLLED_BACK
    assert "rolled_back" in lines[-1]


async def test_an_unknown_run_is_an_error_and_no_outage() -> None:
    with pytest.raises(CliError, match="no run"):
        await watched(Script([CliError("no run 'x'")]))


async def test_live_on_a_terminal() -> None:
    glance, lines = await watched(Script([status(), NoAnswerError("no worker answers"), ENDED]), terminal=True)
    text = "\n".join(lines)
    assert glance.exit is Exit.OK
    assert "RUNNING" in text
    assert "▲ no answer since" in text
    assert "lab runs 2026.2" in text
