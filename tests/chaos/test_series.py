"""Cases share a run only where each can still be told apart."""

import pytest

from simulator.faults import FaultFile
from tests.chaos.cases import Case
from tests.chaos.points import Place
from tests.chaos.series import share


def case(step: str, *, back: bool = False, times: int | None = 1, how: str = "exit") -> Case:
    where = {"on": "glance", "at": "GET /", "status": 500} if how == "http" else {"on": "ctl1", "at": "units"}
    content = {**where, "how": how, "times": times}
    (fault,) = FaultFile.model_validate({"faults": [content]}).faults
    return Case(Place(step, undo=back), fault, back)


@pytest.fixture
def none_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which cases are, their ids decide."""
    monkeypatch.setattr(Case, "in_batches", False)


@pytest.mark.usefixtures("none_in_batches")
def test_faults_that_happen_once_share_runs_and_none_is_left_out() -> None:
    cases = [case(f"step{number}") for number in range(7)]
    runs = share(cases, 3)
    assert [len(run) for run in runs] == [3, 3, 1]
    assert [one for run in runs for one in run] == cases


def test_half_of_the_cases_are_in_batches_and_share_no_run_with_others() -> None:
    cases = [case(f"step{number}") for number in range(200)]
    assert 60 < sum(one.in_batches for one in cases) < 140
    assert all(len({one.in_batches for one in run}) == 1 for run in share(cases, 5))


@pytest.mark.usefixtures("none_in_batches")
def test_a_fault_that_turns_the_run_back_has_a_run_of_its_own() -> None:
    lasting = case("step0", times=None)
    assert share([case("step1"), lasting, case("step2")], 5) == [(case("step1"), case("step2")), (lasting,)]


@pytest.mark.usefixtures("none_in_batches")
def test_faults_that_are_got_over_once_they_are_mended_share_runs() -> None:
    at_apis = [case(f"step{number}", times=None, how="http") for number in range(3)]
    on_the_way_back = [case(f"step{number}", times=None, back=True) for number in range(3)]
    assert share([*at_apis, *on_the_way_back], 5) == [tuple(at_apis), tuple(on_the_way_back)]


def test_a_step_has_one_fault_in_a_run_and_ways_forth_and_back_do_not_mix() -> None:
    cases = [case("step0"), case("step0"), case("step1", back=True), case("step1")]
    runs = share(cases, 5)
    assert all(len({one.place for one in run}) == len(run) for run in runs)
    assert all(len({one.back for one in run}) == 1 for run in runs)
    assert sorted(one.id for run in runs for one in run) == sorted(one.id for one in cases)


def test_without_sharing_every_case_is_a_run() -> None:
    assert [len(run) for run in share([case("a"), case("b")], 1)] == [1, 1]
