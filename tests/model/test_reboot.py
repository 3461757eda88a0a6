"""Whether a host needs a reboot, and whether it came back as the one it was."""

import pytest

from model.reboot import HostBoot, flavour, judge_need, judge_return, newest

KERNELS = ("6.1.0-9-amd64", "6.1.0-41-amd64", "6.1.0-40-amd64", "6.1.0-99-rt-amd64")


@pytest.mark.parametrize(
    ("running", "installed", "wanted"),
    [
        ("6.1.0-40-amd64", KERNELS, "6.1.0-41-amd64"),
        ("6.1.0-98-rt-amd64", KERNELS, "6.1.0-99-rt-amd64"),
        ("6.8.0-59-generic", ("6.8.0-59-generic", "6.8.0-60-generic", "6.8.0-61-aws"), "6.8.0-60-generic"),
        (
            "5.14.0-427.el9.x86_64",
            ("5.14.0-427.el9.x86_64", "5.14.0-503.el9.x86_64"),
            "5.14.0-503.el9.x86_64",
        ),
        ("6.1.0-40-amd64", (), None),
    ],
)
def test_the_newest_kernel_is_the_newest_of_its_kind(running: str, installed: tuple[str, ...], wanted: str) -> None:
    assert newest(HostBoot(boot_id="b", kernel=running, kernels=installed)) == wanted


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("6.1.0-41-amd64", "amd64"),
        ("6.1.0-41-cloud-amd64", "cloud-amd64"),
        ("6.8.0-60-generic", "generic"),
        ("6.18.44-fc-v657", "fc-v657"),
    ],
)
def test_the_kind_of_a_kernel(kernel: str, kind: str) -> None:
    assert flavour(kernel) == kind


@pytest.mark.parametrize(
    ("found", "kernel", "reasons"),
    [
        ({}, None, ()),
        ({"kernels": ("6.1.0-40-amd64",)}, None, ()),
        ({"kernels": KERNELS}, None, ("it runs kernel 6.1.0-40-amd64, and 6.1.0-41-amd64 is installed",)),
        ({}, "6.1.0-42-amd64", ("it runs kernel 6.1.0-40-amd64, and 6.1.0-42-amd64 is wanted",)),
        ({"kernels": KERNELS}, "6.1.0-40-amd64", ()),
        ({"packages": ("libc6", "dbus")}, None, ("a reboot was asked for by libc6, dbus",)),
        (
            {"stale": ("a", "b", "c", "d", "e", "f", "g")},
            None,
            ("replaced libraries are still in use by a, b, c, d, e and 2 more",),
        ),
    ],
)
def test_what_asks_for_a_reboot(found: dict[str, tuple[str, ...]], kernel: str | None, reasons: tuple[str]) -> None:
    need = judge_need(HostBoot(boot_id="b", kernel="6.1.0-40-amd64", **found), kernel)
    assert (need.required, need.reasons) == (bool(reasons), reasons)
    assert need.text == ("; ".join(reasons) or "nothing on it waits for a reboot")


def test_a_host_that_was_not_rebooted_may_run_any_kernel() -> None:
    boot = HostBoot(boot_id="b1", kernel="6.1.0-40-amd64", kernels=KERNELS)
    assert judge_return(boot) == ()
    assert judge_return(boot.model_copy(update={"ordered": "b1"})) == ()
    (problem,) = judge_return(boot.model_copy(update={"ordered": "b0"}))
    assert problem.startswith("it runs kernel 6.1.0-40-amd64, not 6.1.0-41-amd64")


def test_a_host_with_another_name_is_another_host() -> None:
    boot = HostBoot(boot_id="b1", hostname="localhost", ordered="b0", before="cmp1")
    assert judge_return(boot) == ("its name was cmp1, and is localhost now",)
