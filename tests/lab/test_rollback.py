"""The way back on real OpenStack, judged from outside: what failed, what was asked for, what users have left of it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.lab.access import LAB, addresses, read_yaml, sql, ssh, stackroll
from tests.lab.conftest import Dev, bring_up, is_fit
from tests.lab.judge import assert_guests_are_well, assert_wholly_at, guests, schema_of_nova
from tests.lab.newcomers import Newcomers
from tests.lab.observers import Prober, User

REPOSITORY = "/srv/openstack/2026.2/nova"
BROKEN = "/var/tmp/broken-nova"
OLD, NEW = "2026.1", "2026.2"


class Case:
    """An upgrade that is not to succeed: the cloud before it, and what is asked of the cloud after it."""

    def __init__(self, dev: Dev, folder: Path) -> None:
        self.dev, self._folder = dev, folder
        # The hosts remember the jobs of every run: one that is on the same lab needs an id of its own.
        self.run = f"U{uuid4().hex[:8]}"
        self.guests = guests()
        assert len(self.guests) == 4
        assert_wholly_at(OLD, schema=schema_of_nova())
        self.before = self._digest("before")

    def start(self, **changes: str) -> None:
        wanted = {"to": f"'{NEW}'", "soak": "1s", "on_failure": "rollback", "approvals": "{plan: auto, commit: manual}"}
        # The tests' own probe is the judge; both together would take a core of the machine.
        wanted |= {"availability": "{rate: 0.2}", "max_unavailable": "2", "canary": "{count: 0}"}
        spec = "".join(f"{key}: {value}\n" for key, value in {**wanted, **changes}.items())
        path = self._folder / "upgrade.yaml"
        path.write_text(f"cloud: {LAB / 'cloud.yaml'}\n{spec}")
        done = self.dev.stackroll("start", str(path), "--id", self.run)
        assert done.returncode == 0, done.stdout + done.stderr

    def until_waiting_for(self, gate: str) -> None:
        def condition(status: Any) -> bool:
            assert status["ended"] is None, status["message"]
            assert not status["failed"], status["failed"]
            return any(gate in waiting["what"] for waiting in status["waiting"] or ())

        self.dev.until(self.run, condition, 1200)

    def until_rolled_back(self, suffix: str = "") -> Any:
        status = self.dev.until_ended(self.run + suffix)
        assert status["state"] == "rolled_back", status["message"]
        return status

    def assert_back(self, *, schema: str = NEW) -> None:
        """The cloud is wholly at the old release, on the expanded schema; its guests are what they were."""
        assert_wholly_at(OLD, schema=schema)
        assert_guests_are_well(self.guests)
        after = self._digest("after")
        compared = stackroll("digest", "--diff", str(self.before), str(after))
        print(compared.stdout)
        assert compared.returncode == 0, compared.stdout + compared.stderr

    def _digest(self, name: str) -> Path:
        path = self._folder / f"{name}.json"
        done = stackroll("digest", str(LAB / "cloud.yaml"), "-o", str(path))
        assert done.returncode == 0, done.stdout + done.stderr
        return path


@pytest.fixture
def case(dev: Dev, tmp_path: Path) -> Case:
    return Case(dev, tmp_path)


@pytest.fixture(autouse=True)
def lab_2026(request: pytest.FixtureRequest) -> Iterator[None]:
    """The lab at the old release: as a rollback has left it, or made anew."""
    pristine = request.node.get_closest_marker("pristine")
    if pristine or not is_fit(OLD, _assert_wholly_old):
        bring_up(OLD)
    yield
    if pristine:
        # What such a test has done to the databases is in the way of the next upgrade.
        stackroll("lab", "down")


def _assert_wholly_old() -> None:
    assert read_yaml("cloud.yaml")["release"] == OLD
    assert_wholly_at(OLD, schema=schema_of_nova())


@pytest.fixture
def prober() -> Iterator[Prober]:
    observer = Prober(every=1.0)
    yield observer
    observer.stop()


@pytest.fixture
def user() -> Iterator[User]:
    observer = User(every=12.0)
    yield observer
    observer.stop()


@pytest.fixture
def broken() -> Iterator[Any]:
    """Puts a package that cannot be imported in place of a good one, on one host; mended afterwards."""
    hosts: list[str] = []

    def break_(host: str, module: str) -> None:
        address = {**addresses("control"), **addresses("compute")}[host]
        folder = f"{BROKEN}/files/lib/python3.11/site-packages/nova/cmd"
        text = "raise ImportError('this package is broken')"
        ssh(address, f"rm -rf {BROKEN} && cp -a {REPOSITORY} {BROKEN} && mkdir -p {folder}")
        ssh(address, f'echo "{text}" > {folder}/{module}.py && mount --bind {BROKEN} {REPOSITORY}')
        hosts.append(address)

    yield break_
    for address in hosts:
        ssh(address, f"umount {REPOSITORY}; rm -rf {BROKEN}")


def _assert_nobody_noticed(prober: Prober) -> None:
    prober.stop()
    for service, seen in prober.seen.items():
        print(f"{service}: {seen}")
    assert {service: seen.failures for service, seen in prober.seen.items()} == {s: [] for s in prober.seen}
    assert all(len(seen.times) > 100 for seen in prober.seen.values())


def _assert_users_were_served(user: User, *, at_least: int = 10) -> None:
    user.stop()
    print(f"servers created and deleted: {user.done}, longest to ACTIVE {user.longest:.1f} s")
    assert user.trouble == []
    assert user.done >= at_least


def test_a_compute_service_that_does_not_start_takes_everything_back(
    case: Case, broken: Any, prober: Prober, user: User
) -> None:
    broken("cmp2", "compute")
    case.start()
    status = case.until_rolled_back()
    assert "verify cmp2 failed" in status["message"] or "nova-compute on cmp2" in status["message"]
    _assert_users_were_served(user)
    _assert_nobody_noticed(prober)
    case.assert_back()


def test_an_abort_after_the_last_host_goes_back_through_the_ratchet_and_keeps_what_users_made(
    case: Case, prober: Prober
) -> None:
    case.start()
    case.until_waiting_for("commit")
    assert_wholly_at(NEW)
    newcomers = Newcomers()
    newcomers.arrive()
    newcomers.arrive_in_build()
    aborted = time.monotonic()
    words = ("workflow", "signal", "-w", case.run, "--name", "abort")
    sent = case.dev.temporal(*words, "--input", '{"by": "anna", "reason": "a bad feeling", "mode": "rollback"}')
    assert sent.returncode == 0, sent.stderr
    case.until_rolled_back()
    print(f"back after {time.monotonic() - aborted:.0f} s")
    _assert_nobody_noticed(prober)
    newcomers.assert_well()
    case.assert_back()
    newcomers.assert_workable()


@pytest.mark.slow
def test_a_package_that_breaks_on_the_second_control_host_takes_everything_back(
    case: Case, broken: Any, prober: Prober, user: User
) -> None:
    broken("ctl2", "conductor")
    case.start()
    status = case.until_rolled_back()
    assert "nova-conductor and nova-scheduler on ctl2" in status["message"]
    _assert_users_were_served(user)
    _assert_nobody_noticed(prober)
    case.assert_back()


@pytest.fixture
def older() -> Iterator[Any]:
    """Lets the new release's nova-api offer less than the old one does: microversions up to 2.90 only."""
    file = "/opt/openstack/venvs/nova-34.0.0/lib/python3.11/site-packages/nova/api/openstack/api_version_request.py"
    hosts = addresses("control").values()

    def make_older() -> None:
        change = "s/^_MAX_API_VERSION = .*/_MAX_API_VERSION = '2.90'/"
        for address in hosts:
            ssh(address, f'cp -a {file} {file}.kept && sed -i "{change}" {file}')
            assert ssh(address, f"grep ^_MAX_API_VERSION {file}").strip() == "_MAX_API_VERSION = '2.90'"

    yield make_older
    for address in hosts:
        ssh(address, f"test ! -e {file}.kept || mv {file}.kept {file}")


@pytest.mark.slow
def test_a_breach_of_the_apis_contract_takes_everything_back(
    case: Case, older: Any, prober: Prober, user: User
) -> None:
    """Found at the first nova-api of the new release, while the other one still answers all users."""
    case.start()
    case.dev.until_running(case.run, "keystone/ctl1/switch")
    older()
    status = case.until_rolled_back()
    assert "contract" in status["message"], status["message"]
    assert "nova-api" in status["message"], status["message"]
    report = case.dev.query(case.run, "report")
    begun = {step["id"] for step in report["steps"] if step["started"]}
    print(status["message"])
    assert "nova-api/ctl1/switch" in begun
    assert "nova-api/ctl2/switch" not in begun
    _assert_users_were_served(user)
    _assert_nobody_noticed(prober)
    case.assert_back()


@pytest.mark.slow
@pytest.mark.pristine
def test_an_expand_that_fails_half_way_takes_everything_back(case: Case, prober: Prober, user: User) -> None:
    """nova's migration makes two indexes on a table; the second one is there already."""
    index = "migrations_by_src_host_nodes_and_status_idx"
    sql(f"create index {index} on nova.migrations (deleted, source_compute)")
    case.start()
    status = case.until_rolled_back()
    assert "expand nova's cell schemas failed" in status["message"]
    made = "select count(distinct index_name) from information_schema.statistics where table_schema = 'nova' and "
    assert sql(made + "index_name = 'migrations_by_dest_host_nodes_and_status_idx'") == [["1"]], "it failed half way"
    # From the start to the end it takes half a minute.
    _assert_users_were_served(user, at_least=3)
    _assert_nobody_noticed(prober)
    case.assert_back(schema=OLD)


@pytest.mark.slow
def test_a_rollback_survives_kill_9_of_worker_and_server(case: Case, prober: Prober) -> None:
    case.start()
    case.until_waiting_for("commit")
    words = ("workflow", "signal", "-w", case.run, "--name", "abort")
    case.dev.temporal(*words, "--input", '{"by": "anna", "reason": "a bad feeling", "mode": "rollback"}')
    case.dev.until_running(case.run, "back/cmp2/switch")
    case.dev.kill("worker")
    case.dev.until_running(case.run, "back/nova-rpc/ctl2/switch")
    case.dev.kill("temporal")
    case.dev.until_running(case.run, "back/glance/ctl1/switch")
    case.dev.kill("worker")
    case.dev.kill("temporal")
    case.until_rolled_back()
    _assert_nobody_noticed(prober)
    case.assert_back()


@pytest.mark.slow
@pytest.mark.pristine
def test_behind_the_commit_the_dumps_are_restored_under_an_approval(case: Case) -> None:
    case.start(approvals="{plan: auto, commit: auto}")
    status = case.dev.until_ended(case.run)
    assert status["state"] == "completed", status["message"]
    newcomers = Newcomers()
    newcomers.arrive()
    started = case.dev.stackroll("rollback", case.run, "--reason", "a bad feeling")
    assert started.returncode == 0, started.stderr
    waiting = case.dev.until(f"{case.run}/rollback", lambda s: s["waiting"] and "restore" in s["waiting"][0]["what"])
    what = waiting["waiting"][0]["what"]
    print(what)
    assert "3 servers" in what
    assert "1 image" in what
    assert_wholly_at(NEW)
    assert newcomers.server("new0")["status"] == "ACTIVE", "nothing has been touched before the approval"
    approved = case.dev.stackroll(
        "approve", f"{case.run}/rollback", "--gate", "restore", "--plan-hash", waiting["plan_hash"]
    )
    assert approved.returncode == 0, approved.stderr
    case.until_rolled_back("/rollback")
    case.assert_back(schema=OLD)
