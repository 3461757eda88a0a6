"""``stackroll digest``: from the words that an operator types to what is written and how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.errors import Exit
from model.digest import Digest, GuestState, Process
from model.inventory import Inventory
from tests.cli.conftest import run_main


def make(**parts: Any) -> Digest:
    found: dict[str, Any] = {
        "cloud": "c",
        "processes": {"cmp1": {"nova-compute": Process(state="active", version="33.0.1")}},
        "guests": {"g1": GuestState(name="web", status="ACTIVE")},
        "places": {"g1": "cmp1"},
        "schemas": {"nova": ("aaa",)},
    }
    return Digest(**{**found, **parts})


@pytest.fixture
def files(tmp_path: Path) -> Any:
    """Write digests to files, and return their paths."""

    def write(*digests: Digest) -> list[str]:
        paths = [tmp_path / f"{number}.json" for number, _ in enumerate(digests)]
        for path, digest in zip(paths, digests, strict=True):
            path.write_text(digest.to_json())
        return [str(path) for path in paths]

    return write


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> dict[str, Digest]:
    """What is read of any cloud."""
    state = {"now": make()}

    async def read_digest(hosts: object, inventory: Inventory, told: Any) -> Digest:
        told("1 of 1 hosts")
        return state["now"].model_copy(update={"cloud": inventory.cloud})

    monkeypatch.setattr("activities.digest.read_digest", read_digest)
    return state


@pytest.mark.parametrize("name", ["upgrade.yaml", "cloud.yaml"])
def test_either_file_names_the_cloud(cloud: dict[str, Digest], upgrade: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "out.json"
    ran = run_main("digest", str(upgrade.parent / name), "-o", str(target))
    assert ran.status == Exit.OK, ran
    written = Digest.from_json(target.read_text())
    assert written.guests == cloud["now"].guests
    for hash_ in written.hashes.values():
        assert hash_ in ran.out
    assert "all but schemas and places, which a rollback may change" in ran.out
    assert f"written to {target}" in ran.err
    printed = run_main("digest", str(upgrade.parent / name), "--json")
    assert printed.out.rstrip("\n") == target.read_text().rstrip("\n")


def test_what_could_not_be_read_is_told_and_the_rest_kept(
    cloud: dict[str, Digest], upgrade: Path, tmp_path: Path
) -> None:
    cloud["now"] = make(unread={"processes/cmp2": "no connection", "guests": "no answer"}, guests={})
    target = tmp_path / "out.json"
    ran = run_main("digest", str(upgrade), "-o", str(target))
    assert ran.status == Exit.ERROR
    assert "processes/cmp2 could not be read: no connection" in ran.err
    assert "not read" in ran.out
    assert Digest.from_json(target.read_text()).processes


def test_bad_files_are_told_line_by_line(tmp_path: Path, upgrade: Path) -> None:
    upgrade.write_text(upgrade.read_text() + "zone: x\n")
    ran = run_main("digest", str(upgrade))
    assert ran.status == Exit.BAD_INPUT
    assert "zone: unknown key" in ran.err
    assert run_main("digest", str(tmp_path / "missing.yaml")).status == Exit.BAD_INPUT


def test_a_file_or_a_comparison_not_both(upgrade: Path, files: Any) -> None:
    for words in ((), (str(upgrade), "--diff", *files(make(), make()))):
        ran = run_main("digest", *words)
        assert ran.status == Exit.BAD_INPUT
        assert "give either FILE" in ran.err


def test_the_same_state(files: Any) -> None:
    after = make(places={"g1": "cmp9"}, schemas={"nova": ("bbb",)})
    ran = run_main("digest", "--diff", *files(make(), after))
    assert ran.status == Exit.OK
    assert "tolerated: may differ after a rollback (2)" in ran.out
    assert "aaa → bbb" in ran.out
    assert "web (g1)" in ran.out
    assert ran.out.splitlines()[-1] == "the same state"
    same = run_main("digest", "--diff", *files(make(), make()))
    assert same.out.splitlines()[-1] == "the same state"


def test_what_users_did_is_shown_and_is_no_problem(files: Any) -> None:
    after = make(guests={**make().guests, "g2": GuestState(name="new", status="ACTIVE")})
    ran = run_main("digest", "--diff", *files(make(), after))
    assert ran.status == Exit.OK
    assert "users': made, deleted or changed" in ran.out
    assert ran.out.splitlines()[-1] == "equal to before; 1 server made since is kept"


def test_a_difference_of_the_system_is_a_finding(files: Any) -> None:
    after = make(processes={"cmp1": {"nova-compute": Process(state="active", version="34.0.0")}})
    words = ("digest", "--diff", *files(make(), after))
    ran = run_main(*words)
    assert ran.status == Exit.FINDINGS
    assert "system: must be equal after a rollback (1)" in ran.out
    assert "33.0.1 → 34.0.0" in ran.out
    shown = run_main(*words, "--json")
    assert shown.status == Exit.FINDINGS
    found = json.loads(shown.out)
    assert (found["whole"], found["equal"]) == (False, False)
    assert found["problems"] == ["processes cmp1 nova-compute version: 34.0.0, should be 33.0.1"]
    (difference,) = found["differences"]["system"]
    assert difference["path"] == ["cmp1", "nova-compute", "version"]
    assert found["hashes"]["before"]["state_hash"] == make().state_hash


@pytest.mark.parametrize(
    ("text", "told"),
    [(b"hello", "no JSON"), (b"{}", "no digest"), (b"\xff\xfe", "no text in UTF-8"), (None, "No such file")],
)
def test_files_that_are_no_digests(files: Any, tmp_path: Path, text: bytes | None, told: str) -> None:
    bad = tmp_path / "bad.json"
    if text is not None:
        bad.write_bytes(text)
    ran = run_main("digest", "--diff", *files(make()), str(bad))
    assert ran.status == Exit.BAD_INPUT
    assert ran.err.startswith(f"{bad}: ")
    assert told in ran.err


def test_digests_of_two_clouds(files: Any) -> None:
    ran = run_main("digest", "--diff", *files(make(), make(cloud="d")))
    assert ran.status == Exit.BAD_INPUT
    assert "two clouds, c and d" in ran.err
