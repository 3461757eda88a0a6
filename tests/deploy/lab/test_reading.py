"""What is read from commands, files and sockets."""

import json
from pathlib import Path

import pytest

from deploy.lab import images, outputs, packages, provision, status
from deploy.lab.api import not_up, parse_stat
from deploy.lab.command import exclusive, in_parallel, run, wait
from deploy.lab.errors import CommandError, LabError, WaitError
from deploy.lab.machines import bind_options, nspawn_command
from deploy.lab.record import Record
from deploy.lab.settings import LabSpec, Paths, Secrets

STAT = (
    "# pxname,svname,qcur,status\n"
    "nova-api,FRONTEND,,OPEN\nnova-api,ctl1,0,UP\nnova-api,ctl2,0,MAINT\nnova-api,BACKEND,0,UP\n"
)
PATHS = Paths(Path("/s"), Path("/c"))


def test_server_states_are_read_from_the_statistics() -> None:
    assert parse_stat(STAT) == {("nova-api", "ctl1"): "UP", ("nova-api", "ctl2"): "MAINT"}


def test_what_is_not_up_is_named() -> None:
    expected = [("nova-api", "ctl1"), ("nova-api", "ctl2"), ("glance", "ctl1")]
    assert not_up(parse_stat(STAT), expected) == ["nova-api/ctl2", "glance/ctl1"]


def test_a_units_release_is_that_of_the_code_it_has_mapped() -> None:
    text = (
        "nova-scheduler\tactive\t/opt/openstack/venvs/nova-33.0.1/lib/python3.11/site-packages/_x.so\n"
        "haproxy\tactive\t\n\nkeystone\tfailed\t\n"
    )
    units = status.parse_units(text)
    assert units["nova-scheduler"].release == "2026.1 (33.0.1)"
    assert units["haproxy"].release == ""
    assert units["keystone"].state == "failed"


def test_a_build_takes_over_how_this_machine_reaches_its_mirror_and_nothing_else() -> None:
    dump = (
        'APT::Install-Recommends "1";\nAcquire::http::Proxy "http://p.example:3128";\n'
        'Acquire::Languages "none";\nAcquire::https::CaInfo "/etc/ssl/x.pem";\nAcquire::Check-Date "false";\n'
    )
    assert images.acquire_settings(dump).splitlines() == [
        'Acquire::http::Proxy "http://p.example:3128";',
        'Acquire::https::CaInfo "/etc/ssl/x.pem";',
        'Acquire::Check-Date "false";',
    ]


def test_the_chain_of_a_new_host_ends_with_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "index_settings", dict)
    made = images.Images(PATHS, "2026.1")
    spec = LabSpec()
    assert made.chain(spec.host("ctl1")) == [made.control, made.nova, made.base]
    assert made.chain(spec.host("cmp1")) == [made.nova, made.base]
    assert made.chain(spec.infra) == [made.infra, made.base]
    assert made.chain(LabSpec(hypervisor="qemu").host("cmp1")) == [made.nova, made.libvirt, made.base]
    other = images.Images(PATHS, "2026.2")
    assert other.base == made.base
    assert other.nova != made.nova
    assert (other.libvirt, other.guest) == (made.libvirt, made.guest)


def test_only_hosts_with_real_guests_get_more_rights() -> None:
    more = {"--bind=/dev/net/tun", "--capability=CAP_NET_ADMIN"}
    for hypervisor, expected in (("fake", set[str]()), ("qemu", more)):
        spec = LabSpec(hypervisor=hypervisor)
        assert more & set(nspawn_command(PATHS, spec.host("cmp1"))) == expected
        assert not more & set(nspawn_command(PATHS, spec.host("ctl1")))


def test_the_record_of_an_older_lab_is_still_read() -> None:
    old = json.loads(Record(LabSpec(), Secrets(), {}).dump())
    del old["running"], old["spec"]["hypervisor"]
    read = Record.parse(json.dumps(old))
    assert (read.spec, read.running) == (LabSpec(), [])


def status_of(**changes: object) -> status.Report:
    guest = {"id": "a", "name": "guest0", "status": "ACTIVE", "OS-EXT-STS:power_state": 1}
    spec = LabSpec(hypervisor="qemu")
    return status.Report(Record(spec, Secrets(), {}), [], [{**guest, **changes}], {}, "", {})


def test_a_guest_without_a_process_does_not_run_whatever_nova_says() -> None:
    report = status_of()
    assert report.runs(report.guests[0]) == "no"
    assert not report.well
    assert status_of(status="SHUTOFF").well
    report.processes = {"a": ["cmp1", "cmp2"]}
    assert report.runs(report.guests[0]) == "on cmp1, cmp2"
    assert report.well


def test_the_record_survives_being_written() -> None:
    record = Record(LabSpec(guests=1), Secrets(), {"ctl1": [Path("/c/a"), Path("/c/b")]}, ["host files"], "x")
    assert Record.parse(record.dump()) == record
    assert not record.complete


def test_shared_directories_reach_only_who_needs_them() -> None:
    spec = LabSpec()
    assert bind_options(PATHS, spec.infra) == []
    assert "--bind=/s/shared/keys:/etc/keystone/keys" in bind_options(PATHS, spec.host("ctl1"))
    assert bind_options(PATHS, spec.host("cmp1")) == [
        "--bind-ro=/s/repository:/srv/openstack",
        "--bind=/c/uv:/var/cache/uv",
    ]
    assert "--network-namespace-path=/run/netns/srlab-cmp1" in nspawn_command(PATHS, spec.host("cmp1"))


def test_cloud_file_names_every_host_with_its_roles() -> None:
    content = outputs.cloud(LabSpec(control=1, compute=1))
    assert content["hosts"] == {
        "infra1": {"address": "10.97.0.10", "roles": ["database", "load-balancer", "messaging"]},
        "ctl1": {"address": "10.97.0.11", "roles": ["control"]},
        "cmp1": {"address": "10.97.0.21", "roles": ["compute"]},
    }
    assert content["packaging"] == {"adapter": "venv", "root": "/opt/openstack", "repository": "/srv/openstack"}


def test_there_is_no_upgrade_from_the_last_release() -> None:
    upgrade = outputs.upgrade(LabSpec("2026.1"))
    assert upgrade is not None
    assert upgrade["to"] == "2026.2"
    assert outputs.upgrade(LabSpec("2026.2")) is None


def test_files_with_passwords_are_recognised() -> None:
    secrets = Secrets()
    assert provision.secrets_in(f"connection = mysql://u:{secrets.database}@h", secrets)
    assert not provision.secrets_in("connection = none", secrets)


def test_a_failed_command_says_where_what_and_what_next() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo one; echo two >&2; exit 3"], host="ctl1", remedy="look at the moon")
    text = str(caught.value)
    assert text.startswith("ctl1: exit status 3 from: sh -c")
    assert "    one\n    two\n  next: look at the moon" in text


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(CommandError, match="killed after 0 s"):
        run(["sleep", "5"], timeout=0.1)


def test_waiting_reports_the_last_obstacle() -> None:
    with pytest.raises(WaitError, match="not yet"):
        wait("the moon", lambda: "not yet", timeout=0.05, interval=0.01, remedy="wait for night")


def test_waiting_takes_errors_for_obstacles() -> None:
    answers = iter([LabError("refused"), OSError("reset"), None])

    def probe() -> str:
        answer = next(answers)
        if answer:
            raise answer
        return ""

    wait("an answer", probe, timeout=5, interval=0.01)


def test_all_failures_of_a_parallel_group_are_told() -> None:
    def fail(name: str) -> None:
        if name != "b":
            raise LabError(f"{name} failed")

    with pytest.raises(LabError, match="a failed\nc failed"):
        in_parallel(fail, ["a", "b", "c"])


def test_only_one_command_changes_the_lab(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with exclusive(lock), pytest.raises(LabError, match="is changing the lab"), exclusive(lock):
        pass
    with exclusive(lock):
        pass
