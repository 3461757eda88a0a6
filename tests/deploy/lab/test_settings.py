from pathlib import Path

import pytest

from deploy.lab.errors import SpecError
from deploy.lab.settings import RELEASES, LabSpec, Paths, digest, pristine_name, tree_digest


def test_hosts_have_the_addresses_of_the_plan() -> None:
    spec = LabSpec(control=2, compute=3)
    assert [(host.name, host.address) for host in spec.hosts] == [
        ("infra1", "10.97.0.10"),
        ("ctl1", "10.97.0.11"),
        ("ctl2", "10.97.0.12"),
        ("cmp1", "10.97.0.21"),
        ("cmp2", "10.97.0.22"),
        ("cmp3", "10.97.0.23"),
    ]


def test_addresses_never_collide() -> None:
    spec = LabSpec(control=9, compute=230)
    addresses = [host.address for host in spec.hosts]
    assert len(set(addresses)) == len(addresses)
    assert all(int(address.rpartition(".")[2]) < 255 for address in addresses)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"release": "2024.1"}, "can run 2025.1, 2025.2, 2026.1, 2026.2"),
        ({"control": 0}, "--control 0"),
        ({"control": 10}, "outside 1 to 9"),
        ({"compute": 231}, "--compute 231"),
        ({"guests": -1}, "--guests -1"),
        ({"hypervisor": "kvm"}, "--hypervisor kvm is not known; there are fake, qemu"),
        ({"hypervisor": "qemu", "release": "2025.2"}, "qemu runs with 2026.1 and 2026.2, not with 2025.2"),
    ],
)
def test_impossible_labs_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        LabSpec(**values)  # type: ignore[arg-type]


def test_each_release_knows_its_next() -> None:
    assert [LabSpec(release).next_release for release in RELEASES] == ["2025.2", "2026.1", "2026.2", None]


def test_an_unknown_host_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match="infra1, ctl1, cmp1"):
        LabSpec(control=1, compute=1).host("cmp2")


def test_directories_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKROLL_LAB_DIR", "/x/lab")
    monkeypatch.setenv("STACKROLL_CACHE_DIR", "/x/cache")
    paths = Paths.from_environment()
    assert (paths.key, paths.uv_cache) == (Path("/x/lab/id_ed25519"), Path("/x/cache/uv"))


def test_a_digest_tells_where_one_part_ends() -> None:
    assert digest("ab", "c") != digest("a", "bc")


def test_the_tree_digest_sees_names_and_contents_but_no_byte_code(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = tree_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert tree_digest(tmp_path) == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert tree_digest(tmp_path) != first


def test_shapes_have_pristine_states_of_their_own() -> None:
    assert pristine_name(LabSpec()) != pristine_name(LabSpec(guests=5))
    assert pristine_name(LabSpec()) != pristine_name(LabSpec(hypervisor="qemu"))
    assert pristine_name(LabSpec()).startswith("pristine-2026.1-2-3-4-")
