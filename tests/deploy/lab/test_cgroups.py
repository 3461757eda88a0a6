from pathlib import Path

from deploy.lab import cgroups


def _v1(tmp_path: Path) -> Path:
    for name in ("cpuset", "freezer", "systemd", "unified"):
        (tmp_path / name).mkdir()
    (tmp_path / "cpu,cpuacct").mkdir()
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    return tmp_path


def test_hybrid_has_a_tree_per_hierarchy_and_links_do_not_count(tmp_path: Path) -> None:
    names = [path.relative_to(tmp_path).as_posix() for path in cgroups.trees("ctl1", _v1(tmp_path))]
    assert names == [
        "cpu,cpuacct/srlab-ctl1",
        "cpuset/srlab-ctl1",
        "freezer/srlab-ctl1",
        "systemd/srlab-ctl1",
        "unified/srlab-ctl1",
    ]


def test_version_2_has_one_tree(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    assert cgroups.trees("cmp1", tmp_path) == [tmp_path / "srlab-cmp1"]


def test_processes_are_those_of_all_groups_below(tmp_path: Path) -> None:
    root = _v1(tmp_path)
    cgroups.create("ctl1", root)
    inner = root / "systemd" / "srlab-ctl1" / "payload"
    inner.mkdir()
    (inner / "cgroup.procs").write_text("7\n8\n")
    (root / "freezer" / "srlab-ctl1" / "cgroup.procs").write_text("8\n9\n0\n")
    assert cgroups.processes("ctl1", root) == {7, 8, 9}
    assert cgroups.processes("ctl2", root) == set()


def test_removal_leaves_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    root = _v1(tmp_path)
    cgroups.create("ctl1", root)
    (root / "systemd" / "srlab-ctl1" / "a" / "b").mkdir(parents=True)
    assert cgroups.all_hosts(root) == {"ctl1"}
    cgroups.remove("ctl1", root)
    cgroups.remove("ctl1", root)
    assert cgroups.all_hosts(root) == set()
