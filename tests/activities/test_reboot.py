"""Reboots, with the real scripts in a shell over SSH: a stand-in for systemd boots the host, a little nova answers."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import boot, openstack, reboot
from activities.boot import boot_command, parse_boot, record_of
from activities.context import Toolbox
from activities.errors import Refused
from activities.hooks import HookActivities
from activities.reboot import RebootActivities
from activities.ssh import Hosts
from model.inventory import Inventory
from model.nova import ServiceRow
from model.plan import Action
from model.work import StepResult, Work
from tests.activities.conftest import SYSTEMCTL, Site

# The order to reboot gives the host another boot; what is enabled comes up, unless something holds it back.
VERBS = """
    reboot)
        echo reboot >>"$LAB/log"
        [ -e "$LAB/stubborn" ] || cat /proc/sys/kernel/random/uuid >"$LAB/boot_id"
        exit 0 ;;
    list-unit-files) printf '%s enabled enabled\\n' libvirtd.service nova-compute.service; exit 0 ;;
    list-jobs) echo "17 libvirt-guests.service stop running"; exit 0 ;;
    is-active) [ ! -e "$LAB/down-$argument" ]; exit ;;
    is-system-running) cat "$LAB/state"; exit 0 ;;
    start)
        [ ! -e "$LAB/broken" ] || exit 1
        [ -e "$LAB/hold/nova-compute" ] || echo "start $argument" >>"$LAB/log"
        exit 0 ;;
    list-units)
        case "$*" in *--type=service*)
            printf '%s loaded active running x\\n' libvirtd.service nova-compute.service rescue.service
            exit 0 ;;
        esac
"""
INVENTORY_ID = "6f1d9d0e-0000-0000-0000-000000000001"


@dataclass
class Nova:
    """What nova's API would say. Every look is a report later, unless the service is silent."""

    state: str = "up"
    silent: bool = False
    looks: int = 0
    states: list[str] = field(default_factory=list)
    owner: str = "ctl1"

    async def service_records(self, inventory: Inventory, **asked: Any) -> list[ServiceRow]:
        del inventory
        self.looks += not self.silent
        state = self.states.pop(0) if self.states else self.state
        at = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=10 * self.looks)
        row = ServiceRow(
            id="1", binary="nova-compute", host="ctl1", state=state, status="disabled", updated_at=at.isoformat()
        )
        return [row] if asked.get("host") in {None, "ctl1"} else []

    async def host_of(self, inventory: Inventory, hypervisor: str) -> str | None:
        del inventory
        return self.owner if hypervisor == INVENTORY_ID else None

    async def providers(self, inventory: Inventory) -> dict[str, tuple[str, ...]]:
        del inventory
        return {"ctl1": (INVENTORY_ID,)}


@dataclass
class Host:
    """The host and what is run on it."""

    site: Site
    hosts: Hosts
    nova: Nova
    upgrade: str = "run"

    @property
    def root(self) -> Path:
        return self.site.root

    @property
    def log(self) -> list[str]:
        file = self.root / "log"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def held(self) -> bool:
        return (self.root / "hold" / "nova-compute").exists()

    def work(self, action: Action, *, generation: int = 0, undo: bool = False, **params: Any) -> Work:
        return Work(
            upgrade=self.upgrade,
            step=f"ctl1/{'verify' if action is Action.VERIFY_HOST else 'reboot'}",
            action=action,
            target="ctl1",
            params=params,
            generation=generation,
            undo=undo,
            inventory=self.site.inventory,
            timeout=20.0,
        )

    async def run(self, action: Action, *, generation: int = 0, **params: Any) -> StepResult:
        tools = Toolbox(hosts=self.hosts)
        owner = HookActivities(tools) if action is Action.RUN_HOOK else RebootActivities(tools, poll=0.02)
        undo = action is Action.RELEASE_HOST
        work = self.work(action, generation=generation, undo=undo, **params)
        environment = ActivityEnvironment()
        now = datetime.now(tz=UTC)
        environment.info = dataclasses.replace(
            environment.info, scheduled_time=now, started_time=now, start_to_close_timeout=timedelta(seconds=20)
        )
        method: Callable[[Work], Awaitable[StepResult]] = getattr(owner, action.value)
        return await environment.run(method, work)

    async def fails(self, action: Action, **params: Any) -> ApplicationError:
        with pytest.raises(ApplicationError) as caught:
            await self.run(action, **params)
        return caught.value

    async def reboot(self, **more: Any) -> StepResult:
        return await self.run(Action.REBOOT_HOST, host="ctl1", timeout=5.0, **more)

    async def verify(self, **more: Any) -> StepResult:
        return await self.run(Action.VERIFY_HOST, host="ctl1", reboot="ctl1/reboot", **more)


@pytest.fixture
def host(site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> Host:
    root, nova = site.root, Nova()
    systemctl = SYSTEMCTL.replace("    list-units)\n", f"{VERBS}", 1)
    (root / "bin" / "systemctl").write_text(systemctl)
    uname = '#!/bin/sh\ncat "$LAB/kernel"\n'
    (root / "bin" / "uname").write_text(uname)
    (root / "bin" / "uname").chmod(0o755)
    (root / "boot_id").write_text("boot-1\n")
    (root / "kernel").write_text("6.1.0-41-amd64\n")
    (root / "state").write_text("running\n")
    (root / "compute_id").write_text(f"{INVENTORY_ID}\n")
    for name, value in (
        ("STATE_DIR", str(root)),
        ("SYSTEMD_DIR", str(root / "systemd")),
        ("BOOT_ID", str(root / "boot_id")),
        ("REBOOT_REQUIRED", str(root / "reboot-required")),
        ("COMPUTE_ID", str(root / "compute_id")),
    ):
        monkeypatch.setattr(boot, name, value)
    for name in ("service_records", "host_of", "providers"):
        monkeypatch.setattr(openstack, name, getattr(nova, name))
    monkeypatch.setattr(reboot, "ANSWER_LIMIT", 0.5)
    monkeypatch.setattr(reboot, "REPORT_LIMIT", 0.5)
    monkeypatch.setattr(reboot, "ORDER_LIMIT", 1.0)
    return Host(site, hosts, nova)


# What is read


async def test_a_host_tells_what_it_is(host: Host) -> None:
    (host.root / "reboot-required").touch()
    (host.root / "reboot-required.pkgs").write_text("linux-image-amd64\nlibc6\nlibc6\n")
    found = await reboot.read_boot(host.hosts, host.site.inventory, "ctl1")
    assert (found.boot_id, found.kernel, found.state) == ("boot-1", "6.1.0-41-amd64", "running")
    assert (found.packages, found.compute_id) == (("libc6", "linux-image-amd64"), INVENTORY_ID)
    assert (found.ordered, found.held, found.down) == (None, False, ())
    (host.root / "reboot-required.pkgs").unlink()
    found = await reboot.read_boot(host.hosts, host.site.inventory, "ctl1")
    assert found.packages == ("the package manager",)


def test_an_answer_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(Refused, match="its answer makes no sense: 'Welcome"):
        parse_boot("Welcome to this host\n")


def test_everything_that_is_printed_is_read() -> None:
    found = parse_boot(
        "B b2\nH cmp1\nK 6.1.0-40-amd64\nI 6.1.0-40-amd64\nI 6.1.0-41-amd64\nD libvirtd\nS degraded\nX held\n"
        "O b1\nN cmp1\nW ovs.service\n"
    )
    assert found.rebooted
    assert found.held
    assert (found.kernels, found.stale) == (("6.1.0-40-amd64", "6.1.0-41-amd64"), ("libvirtd",))
    assert (found.ordered, found.before, found.down) == ("b1", "cmp1", ("ovs.service",))


# The reboot


async def test_a_host_is_rebooted_with_nova_held_back(host: Host) -> None:
    result = await host.reboot()
    assert host.log == ["reboot"]
    assert host.held
    assert "ConditionPathExists=!" in (host.root / "systemd/nova-compute.service.d/90-stackroll-hold.conf").read_text()
    assert result.details["before"] == "boot-1"
    assert result.details["boot"] == (host.root / "boot_id").read_text().strip()


async def test_whoever_takes_it_over_does_not_reboot_it_again(host: Host) -> None:
    await host.reboot()
    await host.reboot()
    assert host.log == ["reboot"], "the same try, repeated because its worker died"
    result = await host.reboot(generation=1)
    assert host.log == ["reboot"]
    assert result.summary == "ctl1 was rebooted by this step before"


async def test_a_later_try_reboots_it_again_when_it_still_needs_that(host: Host) -> None:
    await host.reboot()
    (host.root / "reboot-required").touch()
    await host.reboot()
    assert host.log == ["reboot"]
    await host.reboot(generation=1)
    assert host.log == ["reboot", "reboot"]


async def test_a_host_that_was_booted_between_look_and_order_is_not_rebooted(host: Host) -> None:
    script = boot.reboot_script(record_of("run", "x"), "boot-0")
    done = await host.hosts.run(host.site.inventory, "ctl1", script)
    assert "it has been booted in the meantime: boot-1" in done.stdout
    assert host.log == []
    assert not host.held


async def test_a_host_that_does_not_go_down_says_what_holds_it(host: Host) -> None:
    (host.root / "stubborn").touch()
    failure = await host.fails(Action.REBOOT_HOST, host="ctl1", timeout=0.3)
    assert failure.type == "StepFailed"
    assert "it answers, and has not been rebooted" in failure.message
    assert "libvirt-guests.service stop running" in failure.message


async def test_a_host_that_does_not_come_back_is_for_a_person_to_look_at(host: Host) -> None:
    (host.root / "stubborn").touch()
    task = asyncio.create_task(host.fails(Action.REBOOT_HOST, host="ctl1", timeout=1.0))
    while host.log != ["reboot"]:
        await asyncio.sleep(0.01)
    await host.site.host.stop()
    failure = await task
    assert failure.type == "OutcomeUnknown"
    assert "it has not come back within 1 s" in failure.message
    assert "it is not rebooted a second time" in failure.message


async def test_a_host_that_is_away_for_a_while_is_waited_for(host: Host, keys: dict[str, Any]) -> None:
    task = asyncio.create_task(host.reboot())
    while host.log != ["reboot"]:
        await asyncio.sleep(0.01)
    await host.site.host.stop()
    await host.site.host.start(keys["host"])
    await task
    assert host.log == ["reboot"]


# The return


async def test_a_host_that_is_what_it_was_gets_its_nova_back(host: Host) -> None:
    await host.reboot()
    result = await host.verify()
    assert not host.held
    assert not (host.root / "systemd/nova-compute.service.d").exists()
    assert host.log == ["reboot", "start nova-compute.service"]
    assert result.summary.startswith("ctl1 is back: kernel 6.1.0-41-amd64")
    assert host.nova.looks >= 3, "the old report, and two new ones"


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        ("compute_id", "its identity has changed: its compute_id is 999"),
        ("name", "its name was elsewhere, and is"),
        ("unit", "libvirtd.service ran before and do not run"),
        ("boot", "its boot does not end"),
    ],
)
async def test_a_host_that_is_not_what_it_was_keeps_nova_held_back(host: Host, break_it: str, text: str) -> None:
    await host.reboot()
    if break_it == "compute_id":
        (host.root / "compute_id").write_text("999\n")
    elif break_it == "name":
        (Path(record_of("run", "ctl1/reboot")) / "name").write_text("elsewhere\n")
    elif break_it == "unit":
        (host.root / "down-libvirtd.service").touch()
    else:
        (host.root / "state").write_text("starting\n")
    failure = await host.fails(Action.VERIFY_HOST, host="ctl1", reboot="ctl1/reboot", timeout=0.2)
    assert text in failure.message
    assert host.held
    assert host.log == ["reboot"]


async def test_another_kernel_than_the_wanted_one_is_told(host: Host) -> None:
    await host.reboot()
    failure = await host.fails(Action.VERIFY_HOST, host="ctl1", reboot="ctl1/reboot", kernel="6.1.0-42-amd64")
    assert "it runs kernel 6.1.0-41-amd64, not 6.1.0-42-amd64: see what its boot loader starts" in failure.message


async def test_one_report_is_not_enough(host: Host) -> None:
    await host.reboot()
    host.nova.silent = True
    failure = await host.fails(Action.VERIFY_HOST, host="ctl1", reboot="ctl1/reboot")
    assert "nova-compute has reported to nova 0 times within 0 s, not twice" in failure.message


async def test_a_host_that_was_not_rebooted_only_has_to_work(host: Host) -> None:
    result = await host.run(Action.VERIFY_HOST, host="ctl1")
    assert result.summary.startswith("ctl1 is back")
    assert "reboot" not in host.log


async def test_a_host_is_put_back_when_it_is_the_one_it_was(host: Host) -> None:
    await host.reboot()
    await host.run(Action.RELEASE_HOST, host="ctl1")
    assert not host.held
    assert host.log == ["reboot", "start nova-compute.service"]


async def test_a_host_that_has_changed_or_is_away_is_not_put_back(host: Host) -> None:
    await host.reboot()
    (host.root / "compute_id").write_text("999\n")
    failure = await host.fails(Action.RELEASE_HOST, host="ctl1")
    assert "its identity has changed" in failure.message
    assert host.held
    await host.site.host.stop()
    failure = await host.fails(Action.RELEASE_HOST, host="ctl1", generation=1)
    assert "it has not answered for" in failure.message


# The watch


async def test_one_late_report_is_no_failure(host: Host) -> None:
    host.nova.states = ["up", "down", "down", "up"]
    result = await host.run(Action.WATCH_HOSTS, hosts=("ctl1",), seconds=0.1)
    assert result.summary == "ctl1 up and stayed so for 0.1 s"


async def test_a_host_that_stays_down_is(host: Host) -> None:
    host.nova.states = ["up", "down", "down", "down"]
    failure = await host.fails(Action.WATCH_HOSTS, hosts=("ctl1",), seconds=5.0)
    assert "ctl1: it did not stay up: its nova-compute is down, last report 2026-11-23T00:0" in failure.message
    failure = await host.fails(Action.WATCH_HOSTS, hosts=("cmp9",))
    assert "cmp9: it did not stay up: its nova-compute is not in nova's list of services" in failure.message


# Hooks


async def test_a_hook_knows_what_it_is_about_and_runs_once(host: Host) -> None:
    command = f'echo "$STACKROLL_RUN $STACKROLL_HOST $STACKROLL_WAVE" >>{host.root}/hooked; echo fine'
    for _ in range(2):
        result = await host.run(Action.RUN_HOOK, name="before_drain 1", command=command, host="cmp1", wave=3)
    assert (host.root / "hooked").read_text() == "run cmp1 3\n"
    assert result.summary == "before_drain 1 done: fine"


async def test_a_hook_that_fails_says_with_what(host: Host) -> None:
    failure = await host.fails(Action.RUN_HOOK, name="before_drain 1", command="echo no tool; exit 9", host="cmp1")
    assert failure.type == "StepFailed"
    assert "the hook before_drain 1 failed" in failure.message
    assert "no tool" in failure.message
    assert "exit status: 9" in failure.message


def test_the_reading_command_is_plain_shell(host: Host) -> None:
    assert str(host.root / "boot_id") in boot_command()
