"""What a step waits for on a host, and when it knows that waiting does not help."""

import pytest

from activities.context import Toolbox
from activities.errors import StepFailed
from activities.running import UnitState
from activities.ssh import Completed, Hosts
from activities.work import MOST_RESTARTS, Hand
from model.inventory import Inventory
from model.plan import Action
from model.work import Work
from tests.workflows.fake_cloud import request


def state(version: str | None, restarts: int, since: str = "Mon 00:00:01") -> UnitState:
    active = "active" if version else "activating"
    return UnitState("nova-compute", active, (version,) if version else (), since, restarts)


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    inventory = Inventory.model_validate(request()["inventory"])
    work = Work(upgrade="u", step="cmp1/switch", action=Action.SWITCH_COMPUTE, target="cmp1", inventory=inventory)

    async def log(*_: object, **__: object) -> Completed:
        return Completed(0, "ImportError: this package is broken", "")

    monkeypatch.setattr(Hosts, "run", log)
    return Hand(Toolbox(), work)


def looks(hand: Hand, monkeypatch: pytest.MonkeyPatch, *seen: UnitState) -> list[UnitState]:
    """Let the unit be seen so, one look after the other; returns what has not been looked at."""
    left = list(seen)

    async def units(*_: object) -> tuple[UnitState, ...]:
        return (left.pop(0),)

    monkeypatch.setattr(Hand, "units", units)
    return left


async def test_a_unit_that_dies_again_and_again_is_not_waited_for(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    left = looks(hand, monkeypatch, *(state(None, 7 + number) for number in range(MOST_RESTARTS + 2)))
    with pytest.raises(StepFailed) as failed:
        await hand.wait_running(("nova-compute",), "34.0.0")
    assert f"nova-compute has died {MOST_RESTARTS} times: it is activating" in str(failed.value)
    assert "this package is broken" in str(failed.value)
    assert len(left) == 1


async def test_a_unit_that_runs_at_last_is_well(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    left = looks(hand, monkeypatch, state(None, 0), state(None, 1), state("33.0.1", 1), state("34.0.0", 1))
    await hand.wait_running(("nova-compute",), "34.0.0")
    assert left == []


@pytest.mark.parametrize("later", [state(None, 1), state("34.0.0", 1, "Mon 00:00:09"), state("33.0.1", 0)])
async def test_a_unit_must_stay_as_it_began(hand: Hand, monkeypatch: pytest.MonkeyPatch, later: UnitState) -> None:
    begun = (state("34.0.0", 0),)
    looks(hand, monkeypatch, state("34.0.0", 0), later)
    await hand.check_steady(begun, "34.0.0")
    with pytest.raises(StepFailed, match="did not stay up"):
        await hand.check_steady(begun, "34.0.0")
