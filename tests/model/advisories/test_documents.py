"""Advisories of both kinds: which products, which versions, and what cannot be judged."""

from typing import Any

import pytest

from model.advisories.documents import AdvisoryError, read_advisory
from model.advisories.ranges import Place


def ossa(*products: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "OSSA-2026-900", "title": "t", "affected-products": list(products), **more}


def osv(*affected: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"schema_version": "1.7.0", "id": "GHSA-xxxx", "affected": list(affected), **more}


def events(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in pairs]}


def test_an_ossa() -> None:
    found = read_advisory(
        ossa({"product": "Nova", "version": "<31.2.1"}, vulnerabilities=[{"cve-id": "CVE-1"}], title="a\n b"), "f"
    )
    assert (found.id, found.title, found.cves, found.source) == ("OSSA-2026-900", "a b", ("CVE-1",), "f")
    assert [(one.product, one.ranges and one.ranges.text) for one in found.affected] == [("nova", "<31.2.1")]


def test_one_entry_for_several_products() -> None:
    text = "Cinder <19.1.2, ==21.0.0; Glance <23.0.1; Nova <24.1.2, >=25.0.0 <25.0.2"
    found = read_advisory(ossa({"product": "Cinder, Glance, Nova", "version": text}))
    assert [(one.product, one.ranges and one.ranges.text) for one in found.affected] == [
        ("cinder", "<19.1.2, ==21.0.0"),
        ("glance", "<23.0.1"),
        ("nova", "<24.1.2, >=25.0.0 <25.0.2"),
    ]


def test_a_product_of_several_whose_versions_are_not_told_cannot_be_judged() -> None:
    found = read_advisory(ossa({"product": "Cinder and Nova", "version": "Cinder <19.1.2"}))
    assert [(one.product, one.ranges is None) for one in found.affected] == [("cinder", False), ("nova", True)]
    assert "which versions of nova" in found.affected[1].why.lower()


@pytest.mark.parametrize(
    ("product", "name"),
    [
        ("glance_store", "glance-store"),
        ("Placement", "openstack-placement"),
        ("OpenStack Compute (nova)", "nova"),
        ("Nova (libvirt driver only)", "nova"),
        ("Ironic-Python-Agent", "ironic-python-agent"),
    ],
)
def test_products_by_the_names_of_the_package_index(product: str, name: str) -> None:
    assert read_advisory(ossa({"product": product, "version": "<1.0"})).affected[0].product == name


@pytest.mark.parametrize("content", [{"nova": "<31.2.1"}, [{"product": "nova", "version": ["<31.2.1"]}]])
def test_other_shapes_of_the_same(content: Any) -> None:
    found = read_advisory({"id": "OSSA-2026-900", "affects": content})
    assert found.affected[0].ranges is not None
    assert found.affected[0].ranges.place("31.2.0") is Place.INSIDE


def test_prose_is_kept_as_what_cannot_be_judged() -> None:
    found = read_advisory(ossa({"product": "nova", "version": "deployments with the Xen driver"}))
    assert found.affected[0].ranges is None
    assert "xen driver" in found.affected[0].why


def test_an_osv() -> None:
    package = {"package": {"ecosystem": "PyPI", "name": "Glance_Store"}}
    ranges = [events(("introduced", "0"), ("fixed", "3.0.1"), ("introduced", "4.0.0"), ("last_affected", "4.1.0"))]
    found = read_advisory(osv({**package, "ranges": ranges, "versions": ["4.2.0"]}, aliases=["CVE-2", "PYSEC-1"]))
    assert found.cves == ("CVE-2",)
    assert found.affected[0].product == "glance-store"
    places = {v: found.affected[0].ranges.place(v) for v in ["3.0.0", "3.0.1", "4.1.0", "4.1.1", "4.2.0"]}  # type: ignore[union-attr]
    assert [v for v, place in places.items() if place is Place.INSIDE] == ["3.0.0", "4.1.0", "4.2.0"]


def test_an_osv_that_was_never_fixed_holds_every_version() -> None:
    entry = {"package": {"ecosystem": "PyPI", "name": "nova"}, "ranges": [events(("introduced", "0"))]}
    ranges = read_advisory(osv(entry)).affected[0].ranges
    assert ranges is not None
    assert ranges.place("99.0.0") is Place.INSIDE


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"package": {"ecosystem": "PyPI", "name": "nova"}, "ranges": [{"type": "GIT", "events": []}]}, "GIT"),
        ({"package": {"ecosystem": "PyPI", "name": "nova"}}, "neither ranges nor versions"),
        ({"package": {"ecosystem": "Debian:12", "name": "qemu"}, "ranges": [events(("introduced", "0"))]}, "Debian:12"),
        ({"ranges": []}, "no package"),
    ],
)
def test_what_of_an_osv_cannot_be_judged(entry: dict[str, Any], why: str) -> None:
    affected = read_advisory(osv(entry)).affected[0]
    assert affected.ranges is None
    assert why in affected.why


@pytest.mark.parametrize("document", [{"title": "x"}, {"id": 7}, {"id": "X-1", "name": "no advisory"}])
def test_what_is_no_advisory(document: dict[str, Any]) -> None:
    with pytest.raises(AdvisoryError):
        read_advisory(document)
