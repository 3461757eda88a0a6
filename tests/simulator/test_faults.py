"""The file of faults: what it says, what it may not say."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from cli.documents import BadInputError
from cli.sim import load_faults
from simulator.faults import Exit, FaultFile, Faults


def armed(*faults: dict[str, object]) -> Faults:
    found = Faults()
    found.arm(*FaultFile.model_validate({"faults": faults}).faults)
    return found


def test_a_fault_happens_where_and_as_often_as_it_says() -> None:
    faults = armed({"on": "cmp*", "at": "install", "how": "exit", "status": 28, "times": 2, "skip": 1})
    assert faults.take("command", ("ctl1",), ("install",)) is None
    assert faults.take("command", ("cmp1",), ("switch",)) is None
    assert faults.take("request", ("cmp1",), ("install",)) is None
    taken = [faults.take("command", ("cmp1",), ("install", "install:nova")) for _ in range(4)]
    assert [fault is not None for fault in taken] == [False, True, True, False]
    assert isinstance(taken[1], Exit)
    assert taken[1].status == 28
    assert faults.happened == ["exit at install:nova on cmp1"] * 2


def test_without_an_end_it_happens_for_ever() -> None:
    faults = armed({"at": "GET /v2.1/*", "how": "http", "times": None})
    assert all(faults.take("request", ("ctl1", "nova"), ("GET /v2.1/servers",)) for _ in range(9))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"at": "install", "how": "explode"}, "explode"),
        ({"at": "install", "how": "exit", "status": 0}, "status"),
        ({"how": "hang"}, "at"),
        ({"at": "GET /v2.1/servers", "how": "gone"}, "possible: becomes, disconnect, hang, http, lacks, slow"),
        ({"at": "migration", "how": "exit"}, "which is a migration"),
        ({"at": "install", "how": "hang", "time": 3}, "time"),
    ],
)
def test_what_makes_no_sense_is_refused(fault: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FaultFile.model_validate({"faults": [fault]})


def test_a_file_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - {on: cmp1, at: install, how: exit, status: 28}\n")
    assert [fault.on for fault in load_faults(path)] == ["cmp1"]
    path.write_text("faults:\n  - at: install\n    how: exit\n    status: 1000\n")
    with pytest.raises(BadInputError, match=r"faults.yaml:2: .*exit.status"):
        load_faults(path)
    path.write_text("faults:\n  - {at: migration, how: http}\n")
    with pytest.raises(BadInputError, match="which is a migration"):
        load_faults(path)
