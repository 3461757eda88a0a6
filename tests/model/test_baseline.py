"""A cloud before and after: what is told of the difference."""

from typing import Any

import pytest

from model.baseline import (
    find_broken,
    find_down_services,
    find_missing,
    find_newly_disabled,
    find_wrong_versions,
    summarise_versions,
)
from tests.model.test_preflight import CONTROL, guest, request, row

VERSIONS = {"keystone": "29.0.1", "placement": "15.0.0", "glance": "32.0.0", "nova": "33.0.1"}


def running() -> dict[str, dict[str, str | None]]:
    compute: dict[str, str | None] = {"nova-compute": "33.0.1"}
    return {"infra1": {}, "ctl1": {**CONTROL}, "ctl2": {**CONTROL}, "cmp1": {**compute}, "cmp2": {**compute}}


def test_versions_of_every_unit_of_every_host_count() -> None:
    inventory = request().inventory
    assert find_wrong_versions(running(), inventory, VERSIONS) == []
    wrong = running()
    wrong["ctl2"]["nova-scheduler"] = "34.0.0"
    wrong["cmp1"] = {}
    assert find_wrong_versions(wrong, inventory, VERSIONS) == [
        "nova-scheduler on ctl2 runs from 34.0.0, not from 33.0.1",
        "nova-compute on cmp1 is not running",
    ]


def test_guests_missing_and_broken() -> None:
    before = [guest("a"), guest("b"), guest("c", status="ERROR")]
    after = [guest("a", "cmp2"), guest("c", status="ERROR"), guest("new", status="ERROR")]
    assert [g.name for g in find_missing(before, after)] == ["b"]
    assert find_broken(before, after) == ()
    assert [g.name for g in find_broken(before, [guest("a", status="ERROR")])] == ["a"]


def test_services() -> None:
    assert find_down_services([row("nova-compute", "cmp1", "down"), row("nova-compute", "cmp2")]) == [
        "nova counts nova-compute on cmp1 as down"
    ]
    was, now = (
        row("nova-compute", "cmp1", status="disabled"),
        row("nova-compute", "cmp2", status="disabled", reason="x"),
    )
    assert find_newly_disabled([was], [was, now]) == ["nova-compute on cmp2 is disabled now (x)"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"versions": {"values": [{"id": "v3.14", "status": "stable"}]}}, {"v3.14": "stable"}),
        ({"versions": [{"id": "v1.0", "min_version": "1.0", "max_version": "1.39"}]}, {"v1.0": "1.0 to 1.39"}),
        (
            {"versions": [{"id": "v2.0", "status": "DEPRECATED", "version": "", "min_version": ""},
                          {"id": "v2.1", "version": "2.100", "min_version": "2.1"}]},
            {"v2.0": "DEPRECATED", "v2.1": "2.1 to 2.100"},
        ),
    ],
)  # fmt: skip
def test_version_documents(document: dict[str, Any], expected: dict[str, str]) -> None:
    assert summarise_versions(document) == expected
