import pytest

from model.nova_objects import (
    API_COLUMNS,
    CELL_COLUMNS,
    NEVER_STORED,
    columns_argument,
    find_newer,
    find_unmapped,
    roots,
)

OLD = {"ImageMetaProps": "1.42", "ShareMappingList": "1.0", "Flavor": "1.2", "Gone": "1.0"}


@pytest.mark.parametrize(
    ("new", "changes"),
    [
        ({}, {}),
        (OLD, {}),
        ({"ImageMetaProps": "1.44"}, {"ImageMetaProps": "1.42 to 1.44"}),
        ({"Flavor": "1.10"}, {"Flavor": "1.2 to 1.10"}),
        ({"Flavor": "2.0"}, {"Flavor": "1.2 to 2.0"}),
        ({"Flavor": "1.1"}, {}),
        ({"CyborgRequest": "1.0"}, {"CyborgRequest": "new in 1.0"}),
    ],
)
def test_what_is_newer(new: dict[str, str], changes: dict[str, str]) -> None:
    assert find_newer(OLD, new) == changes


@pytest.mark.parametrize(
    ("new", "reachable", "unmapped"),
    [
        # nova 33 to 34: the one is in request specs, the other a list of rows.
        ({"ImageMetaProps": "1.44", "ShareMappingList": "1.1"}, ["RequestSpec", "ImageMetaProps"], {}),
        # nova 32 to 33
        ({"LibvirtLiveMigrateData": "1.14"}, [], {}),
        ({"ImageMetaProps": "1.44"}, ["RequestSpec"], {"ImageMetaProps": "1.42 to 1.44"}),
        ({"CyborgRequest": "1.0"}, ["RequestSpec"], {"CyborgRequest": "new in 1.0"}),
        ({"CyborgRequest": "1.0"}, ["RequestSpec", "CyborgRequest"], {}),
        ({"Flavor": "1.2"}, [], {}),
    ],
)
def test_a_newer_kind_must_be_rewritten_or_never_stored(
    new: dict[str, str], reachable: list[str], unmapped: dict[str, str]
) -> None:
    assert find_unmapped(OLD, new, reachable) == unmapped


def test_what_is_at_a_root_is_not_called_never_stored() -> None:
    assert [kind for kind in roots() if kind in NEVER_STORED] == []
    assert all(NEVER_STORED.values())


def test_each_column_is_named_once() -> None:
    named = [(c.table, c.column) for c in (*API_COLUMNS, *CELL_COLUMNS)]
    assert len(named) == len(set(named))
    assert columns_argument(API_COLUMNS) == {
        "request_specs": ["spec"],
        "build_requests": ["instance", "block_device_mappings", "tags"],
    }
