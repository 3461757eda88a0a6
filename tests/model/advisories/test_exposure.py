"""Who is exposed: by what is installed and by what runs; and what is proven to have gone."""

from typing import Any

import pytest

from model.advisories.documents import Advisory, read_advisory
from model.advisories.exposure import Exposure, Finding, Verdict, judge_exposure
from model.advisories.proof import compare
from model.advisories.reading import (
    Candidate,
    CloudReading,
    Environment,
    GuestProcess,
    HostReading,
    Library,
    ProcessReading,
    UnitReading,
)
from model.inventory import Inventory
from model.reboot import HostBoot

HOSTS = {
    "ctl1": {"address": "10.0.0.1", "roles": ["control", "database", "load-balancer"]},
    "cmp1": {"address": "10.0.0.2", "roles": ["compute"]},
}
INVENTORY = Inventory.model_validate(
    {
        "cloud": "c",
        "release": "2025.1",
        "openstack": {"cloud": "c"},
        "ssh": {"key": "k", "known_hosts": "h"},
        "hosts": HOSTS,
        "services": ["nova"],
        "database": {"host": "ctl1"},
        "load_balancer": {"host": "ctl1", "address": "10.0.0.1"},
    }
)
NOVA = {"id": "OSSA-1", "affected-products": [{"product": "nova", "version": ">=31.0.0 <31.2.1"}]}
LIBRARY = {"id": "OSSA-2", "affected-products": [{"product": "os-brick", "version": "<6.11.1"}]}


def unit(*ran: str, active: str = "active", **more: Any) -> UnitReading:
    process = ProcessReading(pid=7, environments=ran, **more)
    return UnitReading(active=active, processes=(process,) if ran else ())


def host(*installed: str, active: str, ran: str = "", brick: str = "", put: float | None = None) -> HostReading:
    """Return a compute host; ``brick`` is the version of the library in every environment."""
    libraries = {"os-brick": Library(version=brick, put=put)} if brick else {}
    environments = [Environment(version=v, active=v == active, libraries=libraries) for v in installed]
    return HostReading(units={"nova-compute": unit(*ran.split())}, environments={"nova": tuple(environments)})


def judge(reading: HostReading, *documents: dict[str, Any], repository: str = "") -> Exposure:
    advisories: list[Advisory] = [read_advisory(document) for document in documents or (NOVA,)]
    known = tuple(Candidate(service="nova", version=v, pins={"nova": v}) for v in repository.split())
    inventory = INVENTORY.narrowed("cmp1")
    return judge_exposure(
        inventory, advisories, CloudReading(hosts={"cmp1": reading}, repository=known), taken="2026-05-12T00:00:00Z"
    )


def only(found: Exposure) -> Finding:
    assert len(found.findings) == 1
    return found.findings[0]


def test_installed_and_running_an_affected_version() -> None:
    found = judge(host("31.0.0", active="31.0.0", ran="31.0.0"), repository="31.0.0 31.2.0 31.3.0 31.3.1")
    assert found.cloud == "c"
    one = only(found)
    assert (one.verdict, one.installed, one.running, one.fixed_in) == (
        Verdict.EXPOSED,
        "31.0.0",
        ("31.0.0",),
        "31.3.0",
    )


def test_installed_is_mended_but_the_process_was_not_restarted() -> None:
    one = only(judge(host("31.0.0", "31.3.1", active="31.3.1", ran="31.0.0")))
    assert one.verdict is Verdict.EXPOSED
    assert "31.3.1 is installed, but its processes still run 31.0.0: restart nova-compute" in one.why


def test_only_one_of_its_processes_is_old() -> None:
    reading = host("31.0.0", "31.3.1", active="31.3.1")
    processes = tuple(ProcessReading(pid=n, environments=(v,)) for n, v in enumerate(("31.3.1", "31.0.0")))
    reading = reading.model_copy(update={"units": {"nova-compute": UnitReading(active="active", processes=processes)}})
    assert only(judge(reading)).verdict is Verdict.EXPOSED


def test_a_restart_would_bring_the_affected_version_back() -> None:
    one = only(judge(host("31.0.0", "31.3.1", active="31.0.0", ran="31.3.1")))
    assert one.verdict is Verdict.EXPOSED
    assert "start again with 31.0.0" in one.why


def test_an_old_version_that_lies_beside_is_no_exposure() -> None:
    assert only(judge(host("31.0.0", "31.3.1", active="31.3.1", ran="31.3.1"))).verdict is Verdict.SAFE


def test_the_environment_says_what_it_is_made_of_not_its_name() -> None:
    mended = Environment(version="31.0.0", active=True, libraries={"nova": Library(version="31.3.1")})
    reading = HostReading(units={"nova-compute": unit("31.0.0")}, environments={"nova": (mended,)})
    one = only(judge(reading))
    assert (one.verdict, one.running) == (Verdict.SAFE, ("31.3.1",))


def test_files_that_were_replaced_under_a_running_process_prove_nothing() -> None:
    made = {"nova": Library(version="31.3.1", put=2000.0)}
    environment = Environment(version="31.0.0", active=True, libraries=made)
    reading = HostReading(units={"nova-compute": unit("31.0.0", started=1000.0)}, environments={"nova": (environment,)})
    one = only(judge(reading))
    assert one.verdict is Verdict.UNKNOWN
    assert "started before nova 31.3.1 was put there" in one.why


def test_a_process_whose_environment_is_gone_still_runs_it() -> None:
    reading = host("31.3.1", active="31.3.1")
    old = unit("31.0.0", deleted=("/opt/openstack/venvs/nova-31.0.0/lib/a.so",))
    one = only(judge(reading.model_copy(update={"units": {"nova-compute": old}})))
    assert one.verdict is Verdict.EXPOSED
    assert "are deleted" in one.why


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        (HostReading(unread="timed out"), "timed out"),
        (HostReading(units={"nova-compute": unit("31.3.1")}), "no environment is the active one"),
        (host("31.3.1", active="31.3.1"), "no environment that is known"),
        (host("master", active="master", ran="master"), "cannot be compared"),
    ],
)
def test_what_cannot_be_judged_is_said_to_be_so(reading: HostReading, why: str) -> None:
    found = judge(reading)
    assert only(found).verdict is Verdict.UNKNOWN
    assert why in only(found).why
    assert not found.certain


def test_ranges_that_nobody_can_read_are_never_taken_for_not_affected() -> None:
    prose = {"id": "OSSA-3", "affected-products": [{"product": "nova", "version": "only with the Xen driver"}]}
    found = judge(host("31.0.0", active="31.0.0", ran="31.0.0"), prose, {"id": "OSSA-4", "title": "no products"})
    assert [one.verdict for one in found.findings] == [Verdict.UNKNOWN]
    assert list(found.doubts) == ["OSSA-4"]
    assert not found.certain


def test_a_library_in_a_service_s_environment() -> None:
    pins = {"nova": "31.3.1", "os-brick": "6.11.1"}
    reading = CloudReading(
        hosts={"cmp1": host("31.0.0", active="31.0.0", ran="31.0.0", brick="6.11.0")},
        repository=(Candidate(service="nova", version="31.3.1", pins=pins),),
    )
    found = judge_exposure(INVENTORY.narrowed("cmp1"), [read_advisory(LIBRARY)], reading, taken="t")
    one = only(found)
    assert (one.verdict, one.installed, one.fixed_in) == (Verdict.EXPOSED, "6.11.0", "nova 31.3.1 (os-brick 6.11.1)")
    elsewhere = judge(host("31.0.0", active="31.0.0", ran="31.0.0"), LIBRARY)
    assert (elsewhere.findings, elsewhere.elsewhere) == ((), ("OSSA-2",))


@pytest.mark.parametrize(
    ("text", "repository", "fixed"),
    [
        (">=31.0.0 <31.2.1", "31.0.0 31.2.0", "31.2.1 or later: not in the repository"),
        ("==31.0.0", "31.0.0", "later than 31.0.0: not in the repository"),
        ("<32.1.1", "31.0.0 31.3.1", "32.1.1 or later: not in this series"),
        (">=30", "31.3.1", "none known"),
    ],
)
def test_when_the_repository_has_nothing_that_mends_it(text: str, repository: str, fixed: str) -> None:
    document = {"id": "OSSA-1", "affected-products": [{"product": "nova", "version": text}]}
    reading = host("31.0.0", active="31.0.0", ran="31.0.0")
    assert only(judge(reading, document, repository=repository)).fixed_in == fixed


def test_kernels_and_guests_on_a_replaced_qemu_are_notes() -> None:
    boot = HostBoot(boot_id="b", kernel="6.1.0-9-amd64", kernels=("6.1.0-9-amd64", "6.1.0-41-amd64"))
    guests = (GuestProcess(pid=9, guest="instance-0000000a", version="7.2.15"),)
    reading = host("31.3.1", active="31.3.1", ran="31.3.1")
    found = judge(reading.model_copy(update={"boot": boot, "guests": guests, "hypervisor": "7.2.22"}))
    texts = [note.text for note in found.notes]
    assert "6.1.0-41-amd64 is installed" in texts[0]
    assert "1 guest still on a QEMU that was replaced (7.2.15); 7.2.22 is installed: instance-0000000a" in texts[1]
    assert not found.exposed


def test_a_withdrawn_advisory_exposes_nobody() -> None:
    entry = {"package": {"ecosystem": "PyPI", "name": "nova"}, "versions": ["31.0.0"]}
    document = {"id": "GHSA-1", "schema_version": "1.7.0", "withdrawn": "2026-01-01T00:00:00Z", "affected": [entry]}
    assert judge(host("31.0.0", active="31.0.0", ran="31.0.0"), document).findings == ()


# The proof


def test_what_has_gone_and_what_remains() -> None:
    before = judge(host("31.0.0", active="31.0.0", ran="31.0.0"))
    gone = compare(before, judge(host("31.0.0", "31.3.1", active="31.3.1", ran="31.3.1")))
    assert gone.whole
    assert [(one.advisory, one.host, one.unit) for one in gone.gone] == [("OSSA-1", "cmp1", "nova-compute")]
    left = compare(before, judge(host("31.0.0", "31.3.1", active="31.3.1", ran="31.0.0")))
    assert not left.whole
    assert "restart nova-compute" in left.remaining[0].why
    lost = compare(before, judge(HostReading(unread="no route to host")))
    assert not lost.whole
    assert "no route to host" in lost.unproven[0].why


def test_what_is_not_asked_about_again_is_not_proven() -> None:
    before = judge(host("31.0.0", active="31.0.0", ran="31.0.0"))
    after = judge(host("31.3.1", active="31.3.1", ran="31.3.1"), LIBRARY)
    assert "not asked about" in compare(before, after).unproven[0].why


def test_a_host_that_was_left_out() -> None:
    computes = {name: {"address": f"10.0.0.{n}", "roles": ["compute"]} for n, name in enumerate(("cmp2", "cmp3"), 3)}
    content = INVENTORY.model_dump(mode="json")
    inventory = Inventory.model_validate({**content, "hosts": {**content["hosts"], **computes}})

    def account(*versions: str) -> Exposure:
        hosts = {f"cmp{n}": host(v, active=v, ran=v) for n, v in enumerate(versions, 1)}
        return judge_exposure(inventory, [read_advisory(NOVA)], CloudReading(hosts=hosts), taken="t")

    proof = compare(account("31.0.0", "31.0.0", "31.0.0"), account("31.3.1", "31.0.0", "31.3.1"))
    assert [one.host for one in proof.gone] == ["cmp1", "cmp3"]
    assert [(one.host, one.why) for one in proof.remaining] == [("cmp2", "this host was left out: 2 others run 31.3.1")]
