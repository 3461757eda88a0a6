"""Saved states on a plain directory: which is found, which stays, which goes."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from deploy.lab import states
from deploy.lab.errors import SpecError
from deploy.lab.record import Record
from deploy.lab.settings import LabSpec, Paths, Secrets

SPEC = LabSpec(control=1, compute=1)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "lab", tmp_path / "cache")
    made.state.mkdir()
    (made.layers / "base").mkdir(parents=True)
    return made


def put(paths: Paths, name: str, saved: float, below: list[Path] | None = None) -> Path:
    directory = paths.states / f"{name}.{saved:.0f}"
    layer = directory / "layers" / "ctl1"
    layer.mkdir(parents=True)
    chain = [layer, *(below or [paths.layers / "base"])]
    (directory / "lab.json").write_text(Record(SPEC, Secrets(), {"ctl1": chain}, ["complete"], name).dump())
    (directory / "manifest.json").write_text(json.dumps({"name": name, "spec": asdict(SPEC), "saved": saved}))
    return layer


def test_saved_states_are_listed_with_their_shape(paths: Paths) -> None:
    put(paths, "one", 1)
    put(paths, "two", 2)
    assert states.listing(paths) == {"one": SPEC, "two": SPEC}


def test_a_state_whose_layers_were_purged_does_not_exist(paths: Paths) -> None:
    put(paths, "one", 1)
    assert states.exists(paths, "one")
    (paths.layers / "base").rmdir()
    assert not states.exists(paths, "one")
    assert not states.exists(paths, "never saved")


def test_a_replaced_state_goes(paths: Paths) -> None:
    old, new = put(paths, "one", 1), put(paths, "one", 2)
    states.collect(paths)
    assert not old.exists()
    assert new.exists()


def test_a_replaced_state_stays_while_another_stands_on_it(paths: Paths) -> None:
    old = put(paths, "one", 1)
    put(paths, "one", 2, below=[old, paths.layers / "base"])
    states.collect(paths)
    assert old.exists()


def test_a_forgotten_state_stays_while_the_lab_stands_on_it(paths: Paths) -> None:
    layer = put(paths, "one", 1)
    running = Record(SPEC, Secrets(), {"ctl1": [layer]}, ["complete"], "one")
    running.save(paths)
    states.forget(paths, "one")
    assert layer.exists()
    assert states.listing(paths) == {}
    paths.record.unlink()
    states.collect(paths)
    assert not layer.exists()


def test_half_saved_states_are_invisible_and_go(paths: Paths) -> None:
    half = put(paths, "one", 1).parents[1]
    half.rename(half.with_name(f".{half.name}"))
    assert states.listing(paths) == {}
    states.collect(paths)
    assert list(paths.states.iterdir()) == []


def test_pristine_states_of_other_code_go(paths: Paths) -> None:
    put(paths, "pristine-2026.1-1-1-0-aaa", 1)
    put(paths, "pristine-2025.1-1-1-0-aaa", 1)
    put(paths, "pristine-2025.1-1-1-0-bbb", 1)
    put(paths, "mine", 1)
    states.drop_outdated(paths, "pristine-2026.1-1-1-0-bbb")
    assert set(states.listing(paths)) == {"mine", "pristine-2025.1-1-1-0-bbb"}


@pytest.mark.parametrize("name", ["", ".x", "a/b", "a b", "a:b"])
def test_names_that_cannot_be_directories_are_refused(paths: Paths, name: str) -> None:
    with pytest.raises(SpecError, match="cannot name a saved state"):
        states.save(paths, name)


def test_an_unknown_state_is_answered_with_the_known_ones(paths: Paths) -> None:
    put(paths, "one", 1)
    with pytest.raises(SpecError, match="there are: one"):
        states.restore(paths, "two")
