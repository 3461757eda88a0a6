"""How guests can leave their host, as tables: what nova says of one, and its class and code."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.classify import STOPPED_BY, Classified, classify, classify_all
from model.fleet import Fleet, FleetGuest, FleetHost, GroupPolicy, GuestClass, ServerGroup
from model.owners import DRAIN_KEY
from model.rolling import DrainPolicy

LIVE, COLD, STOP, LEAVE, BLOCKED = (
    GuestClass.LIVE,
    GuestClass.COLD,
    GuestClass.STOP,
    GuestClass.LEAVE,
    GuestClass.BLOCKED,
)
STRICT = DrainPolicy(allow=(LIVE,), owners=())
ALL = DrainPolicy(allow=(LIVE, COLD, STOP, LEAVE))


def guest(status: str = "ACTIVE", **more: Any) -> FleetGuest:
    values: dict[str, Any] = {"id": "g1", "name": "web", "host": "cmp1", "status": status, **more}
    return FleetGuest.model_validate(values)


def judge(policy: DrainPolicy | None = None, /, **more: Any) -> Classified:
    return classify(guest(**more), (), policy or DrainPolicy())


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        ("ACTIVE", LIVE, "active"),
        ("PAUSED", LIVE, "paused"),
        ("SHUTOFF", COLD, "shutoff-cold"),
        ("SUSPENDED", BLOCKED, "suspended"),
        ("SHELVED", BLOCKED, "shelved"),
        ("SHELVED_OFFLOADED", LEAVE, "shelved-offloaded"),
        ("RESCUE", BLOCKED, "rescued"),
        ("VERIFY_RESIZE", BLOCKED, "verify-resize"),
        ("ERROR", BLOCKED, "error"),
        ("SOFT_DELETED", BLOCKED, "soft-deleted"),
        ("BUILD", BLOCKED, "task-running"),
        ("MIGRATING", LIVE, "migrating"),
        ("NEVER_HEARD_OF", BLOCKED, "unknown-status"),
    ],
)
def test_each_status_has_its_class(status: str, kind: GuestClass, code: str) -> None:
    found = judge(status=status)
    assert (found.kind, found.code) == (kind, code)
    assert found.reason
    assert (found.kind is BLOCKED) == bool(found.remedy)
    assert "{" not in found.remedy


@pytest.mark.parametrize(
    ("specs", "image", "code"),
    [
        ({"pci_passthrough:alias": "a1:2"}, {}, "pci"),
        ({"hw:pci_numa_affinity_policy": "required"}, {}, "pci"),
        ({"resources2:CUSTOM_PCI_10DE_1EB8": "1"}, {}, "pci"),
        ({"resources:VGPU": "1"}, {}, "vgpu"),
        ({"resources1:VGPU": "1"}, {}, "vgpu"),
        ({"hw:tpm_version": "2.0"}, {}, "vtpm"),
        ({}, {"hw_tpm_version": "2.0", "hw_tpm_model": "tpm-crb"}, "vtpm"),
        ({"hw:mem_encryption": "True"}, {}, "sev"),
        ({}, {"hw_mem_encryption": "true"}, "sev"),
        ({"resources:MEM_ENCRYPTION_CONTEXT": "1"}, {}, "sev"),
        ({"hw:pmem": "4GB"}, {}, "pmem"),
    ],
)
def test_what_is_bound_to_its_host_moves_cold_or_not_at_all(
    specs: dict[str, str], image: dict[str, str], code: str
) -> None:
    devices: dict[str, Any] = {"extra_specs": specs, "image_properties": image}
    assert (judge(**devices).kind, judge(**devices).code) == (COLD, code)
    assert judge(STRICT, **devices).kind is BLOCKED
    assert judge(status="SHUTOFF", **devices).code == "shutoff-cold"
    paused = judge(ALL, status="PAUSED", **devices)
    assert (paused.kind, paused.code) == (BLOCKED, code)
    assert "unpause g1" in paused.remedy


@pytest.mark.parametrize(
    "more",
    [
        {"extra_specs": {"hw:tpm_version": "2.0", "hw:tpm_secret_security": "host"}},
        {
            "extra_specs": {
                "hw:mem_encryption": "False",
                "hw:cpu_policy": "dedicated",
                "trait:HW_CPU_X86_AVX2": "required",
            }
        },
        {"config_drive": True, "volumes": 3, "local_disk_gb": 500},
    ],
)
def test_what_nova_can_move_live_is_live(more: dict[str, Any]) -> None:
    assert (judge(**more).kind, judge(**more).code) == (LIVE, "active")


@pytest.mark.parametrize(
    ("specs", "code"),
    [({"accel:device_profile": "fpga"}, "accelerator"), ({"resources:CUSTOM_BAREMETAL": "1"}, "bare-metal")],
)
def test_what_cannot_be_moved_at_all_may_be_stopped_if_allowed(specs: dict[str, str], code: str) -> None:
    assert (judge(extra_specs=specs).kind, judge(extra_specs=specs).code) == (BLOCKED, code)
    assert judge(ALL, extra_specs=specs).kind is STOP
    assert judge(DrainPolicy(then_stop=True), extra_specs=specs).kind is STOP
    assert judge(ALL, extra_specs=specs, status="PAUSED").kind is BLOCKED
    asked = judge(extra_specs=specs, tags=(f"{DRAIN_KEY}=stop",))
    assert (asked.kind, asked.code) == (STOP, "owner-says-stop")
    assert judge(extra_specs=specs, tags=(f"{DRAIN_KEY}=live",)).kind is BLOCKED


def test_big_local_disks_are_not_copied() -> None:
    policy = DrainPolicy(max_local_disk_gb=60)
    assert judge(policy, local_disk_gb=60).kind is LIVE
    assert (judge(policy, local_disk_gb=61).kind, judge(policy, local_disk_gb=61).code) == (
        BLOCKED,
        "local-disk-too-big",
    )
    assert judge(policy, local_disk_gb=61, status="SHUTOFF").code == "local-disk-too-big"


def test_a_running_task_blocks_for_the_moment() -> None:
    found = judge(task_state="rebooting")
    assert (found.kind, found.code) == (BLOCKED, "task-running")
    assert "rebooting" in found.reason


def test_a_crashed_guest_is_not_one_that_runs() -> None:
    assert judge(power_state=6).code == "crashed"


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        ("live", LIVE, "owner-says-live"),
        ("cold", COLD, "owner-says-cold"),
        ("stop", STOP, "owner-says-stop"),
        (" Stop ", STOP, "owner-says-stop"),
        ("leave", LIVE, "active"),
        ("burn", LIVE, "active"),
    ],
)
def test_owners_may_ask(said: str, kind: GuestClass, code: str) -> None:
    for found in (judge(tags=("other", f"{DRAIN_KEY}={said}")), judge(metadata={DRAIN_KEY: said})):
        assert (found.kind, found.code) == (kind, code)
        assert bool(found.warnings) == (code == "active")


def test_of_several_wishes_the_safest_counts() -> None:
    found = judge(tags=(f"{DRAIN_KEY}=stop",), metadata={DRAIN_KEY: "cold"})
    assert (found.kind, found.code) == (COLD, "owner-conflict")
    assert any("cold and stop" in warning for warning in found.warnings)
    twice = judge(tags=(f"{DRAIN_KEY}=stop",), metadata={DRAIN_KEY: "stop"})
    assert (twice.code, twice.warnings) == ("owner-says-stop", ())


def test_a_wish_that_cannot_be_is_told() -> None:
    device = judge(extra_specs={"resources:VGPU": "1"}, tags=(f"{DRAIN_KEY}=live",))
    assert (device.kind, device.code) == (COLD, "vgpu")
    assert "not done" in device.warnings[0]
    assert judge(status="PAUSED", tags=(f"{DRAIN_KEY}=stop",)).code == "paused"
    assert judge(status="ERROR", tags=(f"{DRAIN_KEY}=stop",)).code == "error"
    assert judge(STRICT, tags=(f"{DRAIN_KEY}=stop",)).code == "active"


def test_an_operator_s_word_counts_most() -> None:
    def decide(decided: GuestClass, **more: Any) -> Classified:
        return classify(guest(**more), (), STRICT, decided=decided)

    assert (decide(STOP).kind, decide(STOP).code) == (STOP, "operator-says-stop")
    assert decide(LEAVE, status="ERROR").kind is LEAVE
    assert decide(LIVE, extra_specs={"resources:VGPU": "1"}).kind is LIVE
    assert decide(STOP, status="PAUSED").code == "paused"
    assert decide(STOP, tags=(f"{DRAIN_KEY}=live",)).kind is STOP


def test_locked_guests_are_moved_unless_that_is_forbidden() -> None:
    assert judge(locked=True).kind is LIVE
    assert "locked" in judge(locked=True).warnings[0]
    forbidden = judge(DrainPolicy(locked=False), locked=True)
    assert (forbidden.kind, forbidden.code) == (BLOCKED, "locked")


def test_a_guest_that_a_run_has_stopped_stays() -> None:
    found = judge(STRICT, status="SHUTOFF", metadata={STOPPED_BY: "reboot-1"})
    assert (found.kind, found.code) == (STOP, "stopped-by-run")
    assert "reboot-1" in found.reason


def test_suspended_guests_stay_where_that_is_allowed() -> None:
    assert judge(ALL, status="SUSPENDED").kind is STOP
    assert judge(status="SUSPENDED", tags=(f"{DRAIN_KEY}=stop",)).kind is STOP


def test_a_group_that_is_short_of_a_member_loses_no_second_one() -> None:
    def both(policy: GroupPolicy, status: str) -> list[str]:
        guests = (guest(id="g1", extra_specs={"resources:VGPU": "1"}), guest(id="g2", status=status))
        groups = (ServerGroup(id="s1", policy=policy, members=("g1", "g2")),)
        fleet = Fleet(hosts={"cmp1": FleetHost(name="cmp1")}, guests=guests, groups=groups)
        return [found.code for found in classify_all(fleet, DrainPolicy())]

    assert both(GroupPolicy.ANTI_AFFINITY, "SHUTOFF") == ["group-member-stopped", "shutoff-cold"]
    assert both(GroupPolicy.SOFT_ANTI_AFFINITY, "ERROR") == ["group-member-stopped", "error"]
    assert both(GroupPolicy.ANTI_AFFINITY, "ACTIVE") == ["vgpu", "active"]
    assert both(GroupPolicy.AFFINITY, "SHUTOFF") == ["vgpu", "shutoff-cold"]


_WORDS = st.sampled_from(["live", "cold", "stop", "leave", "blocked", "?"])
_GUESTS = st.builds(
    FleetGuest,
    id=st.just("g1"),
    name=st.just("web"),
    host=st.just("cmp1"),
    status=st.sampled_from(
        ["ACTIVE", "PAUSED", "SHUTOFF", "SUSPENDED", "SHELVED", "RESCUE", "ERROR", "MIGRATING", "BUILD", "UNHEARD"]
    ),
    task_state=st.sampled_from([None, "rebooting"]),
    locked=st.booleans(),
    tags=st.lists(_WORDS.map(lambda word: f"{DRAIN_KEY}={word}"), max_size=2).map(tuple),
    extra_specs=st.sampled_from([{}, {"resources:VGPU": "1"}, {"accel:device_profile": "x"}]),
)
_POLICIES = st.builds(
    DrainPolicy,
    allow=st.sets(st.sampled_from([LIVE, COLD, STOP, LEAVE])).map(tuple),
    owners=st.sets(st.sampled_from([LIVE, COLD, STOP, LEAVE])).map(tuple),
    then_stop=st.booleans(),
    locked=st.booleans(),
)


@settings(deadline=None)
@given(_GUESTS, _POLICIES, st.sampled_from([None, LIVE, COLD, STOP, LEAVE]))
def test_nothing_is_done_that_nobody_allowed_or_that_nova_cannot(
    one: FleetGuest, policy: DrainPolicy, decided: GuestClass | None
) -> None:
    found = classify(one, (), policy, decided=decided)
    if found.kind is not BLOCKED and found.code != "migrating":
        allowed = found.kind in policy.allow or (found.kind is STOP and policy.then_stop)
        assert allowed or found.code.startswith(("owner-", "operator-"))
        assert found.code.startswith("operator-") or found.kind in {*policy.allow, *policy.owners, STOP}
    if found.kind is LIVE and found.code != "migrating":
        assert one.status in {"ACTIVE", "PAUSED"}
        assert not one.extra_specs or found.code.startswith("operator-")
    if found.kind is COLD:
        assert one.status in {"ACTIVE", "SHUTOFF"}
    if found.kind is STOP:
        assert one.status in {"ACTIVE", "SHUTOFF", "SUSPENDED"}
