"""What of an API is a promise, and what only depends on the data that it happened to show."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.calls import RECORDED
from model.contract import Answer, ApiContract, Contract, ContractError, Offer, Parsed, microversions, offers
from model.contract_diff import Comparison, Difference, Grade, compare, compare_shapes, matches
from model.contract_shape import Rules, Shape, merge, shape_of, written
from model.contract_words import told

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
NAMES = st.sampled_from(["id", "name", "links", "metadata", "flavor", "5", "0f" * 16])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
)
RULES = Rules(maps=frozenset({"metadata", "flavor.extra_specs"}), optional=frozenset({"fault"}))


def differences(before: Any, after: Any, rules: Rules = RULES) -> dict[str, tuple[Grade, str]]:
    found = compare_shapes(shape_of(before, rules), shape_of(after, rules))
    return {written(path): (grade, text) for path, grade, text in found}


def breaches(before: Any, after: Any) -> set[str]:
    return {path for path, (grade, _) in differences(before, after).items() if grade is Grade.BREACH}


@given(JSON)
@settings(max_examples=150, deadline=None)
def test_nothing_differs_from_itself(value: Any) -> None:
    shape = shape_of(value, RULES)
    assert list(compare_shapes(shape, shape)) == []
    assert Shape.model_validate_json(shape.model_dump_json(exclude_defaults=True)) == shape


@given(st.lists(JSON, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_of_a_list_does_not_matter(rows: list[Any], dice: random.Random) -> None:
    shuffled = list(rows)
    dice.shuffle(shuffled)
    assert shape_of(rows, RULES) == shape_of(shuffled, RULES)
    assert list(compare_shapes(shape_of(rows, RULES), shape_of(shuffled, RULES))) == []


@given(JSON, JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_merging_is_the_same_in_every_order(one: Any, two: Any, three: Any) -> None:
    a, b, c = (shape_of(value, RULES) for value in (one, two, three))
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"servers": [{"id": "a"}]}, {"servers": []}),
        ({"servers": []}, {"servers": [{"id": "a"}]}),
        ({"task": None}, {"task": "migrating"}),
        ({"task": "migrating"}, {"task": None}),
        # nova: no image is an empty text, one is an object.
        ({"image": {"id": "a"}}, {"image": ""}),
        ({"metadata": {"colour": "red"}}, {"metadata": {"size": "5"}}),
        ({"metadata": {}}, {"metadata": {"size": "5"}}),
        ({"flavor": {"extra_specs": {"a": "1"}}}, {"flavor": {"extra_specs": {}}}),
        # Keys that are ids.
        ({"a": {"1f" * 16: {"VCPU": 1}}}, {"a": {"2e" * 16: {"VCPU": 2}}}),
        ([{"id": 1, "fault": {"code": 500}}], [{"id": 1}]),
        ([{"id": 1, "part": 2}, {"id": 1}], [{"id": 1}]),
        ({"ratio": 1.5}, {"ratio": 2}),
        ({"when": "2026-01-01"}, {"when": "2027-01-01"}),
    ],
)
def test_what_depends_on_data_is_no_breach(before: Any, after: Any) -> None:
    assert breaches(before, after) == set()


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        ({"servers": [{"id": "a", "name": "x"}]}, {"servers": [{"id": "a"}]}, "servers[].name"),
        ({"id": 5}, {"id": "5"}, "id"),
        ({"size": 5}, {"size": 5.0}, "size"),
        ({"up": True}, {"up": "true"}, "up"),
        ({"image": {"id": "a"}}, {"image": "a"}, "image"),
        ({"rows": [1]}, {"rows": {"a": 1}}, "rows"),
        ({"metadata": {"a": "1"}}, {"metadata": {"b": 1}}, "metadata{}"),
        ([{"id": "a"}], [{"id": "a"}, {"id": 1}], "[].id"),
        ({"a": {"b": None}}, {"a": {}}, "a.b"),
        ({"id": 1}, [1], "the answer"),
    ],
)
def test_what_breaks_clients_is_a_breach(before: Any, after: Any, where: str) -> None:
    assert breaches(before, after) == {where}


def test_new_fields_are_additions_and_fields_that_some_lack_are_noted() -> None:
    assert differences({"id": 1}, {"id": 1, "new": True}) == {"new": (Grade.ADDED, "a field (boolean)")}
    found = differences([{"id": 1, "a": 1}], [{"id": 1, "a": 1}, {"id": 1}])
    assert found == {"[].a": (Grade.NOTED, "the field is there in some, was there in all")}


def test_of_open_objects_only_the_fields_count_that_the_service_gives() -> None:
    rules = Rules(open={"/images": frozenset({"id"})})
    before = {"images": [{"id": "a", "my_property": "x"}], "other": {"images": {"id": 1, "name": 2}}}
    after = {"images": [{"id": "a"}], "other": {"images": {"id": 1}}}
    assert set(differences(before, after, rules)) == {"other.images.name"}


# Documents


def contract(
    versions: dict[str, Offer] | None = None,
    answers: dict[str, Answer] | None = None,
    **more: Any,
) -> Contract:
    api = ApiContract(
        versions=versions or {"v2.1": Offer(status="CURRENT", least="2.1", greatest="2.100")},
        microversions=("2.1", "2.100"),
        answers=answers or {},
    )
    return Contract(**{"cloud": "c", "taken": "2026-01-01T00:00:00+00:00", "apis": {"nova-api": api}, **more})


def found(before: Contract, after: Contract, *accept: str) -> dict[str, Grade]:
    return {one.name: one.grade for one in compare(before, after, accept).differences}


def offer(least: str = "2.1", greatest: str = "2.100", status: str = "CURRENT") -> dict[str, Offer]:
    return {"v2.1": Offer(status=status, least=least, greatest=greatest)}


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        (offer(greatest="2.104"), {"nova-api/versions/v2.1/maximum": Grade.ADDED}),
        (offer(greatest="2.99"), {"nova-api/versions/v2.1/maximum": Grade.BREACH}),
        (offer(greatest=""), {"nova-api/versions/v2.1/maximum": Grade.BREACH}),
        (offer(least="2.10"), {"nova-api/versions/v2.1/minimum": Grade.BREACH}),
        (offer(status="DEPRECATED"), {"nova-api/versions/v2.1": Grade.NOTED}),
        ({"v3": Offer()}, {"nova-api/versions/v2.1": Grade.BREACH, "nova-api/versions/v3": Grade.ADDED}),
        (offer(), {}),
    ],
)
def test_versions(after: dict[str, Offer], wanted: dict[str, Grade]) -> None:
    assert found(contract(), contract(after)) == wanted


def test_keystones_minor_version_may_rise_and_glances_minor_versions_stay() -> None:
    keystone = {"v3.14": Offer(status="stable")}
    assert found(contract(keystone), contract({"v3.15": Offer(status="stable")})) == {}
    assert found(contract(keystone), contract({"v3.13": Offer()}))["nova-api/versions/v3.14"] is Grade.BREACH
    glance = {f"v2.{n}": Offer(status="SUPPORTED") for n in (15, 16, 17)}
    fewer = {name: one for name, one in glance.items() if name != "v2.16"}
    assert found(contract(glance), contract(fewer)) == {"nova-api/versions/v2.16": Grade.BREACH}
    newer = {**glance, "v2.18": Offer(status="CURRENT")}
    assert found(contract(glance), contract(newer)) == {"nova-api/versions/v2.18": Grade.ADDED}


def answer(body: Any = None, status: int = 200, members: tuple[str, ...] = ()) -> Answer:
    return Answer(status=status, shape=None if body is None else shape_of(body, RULES), members=members)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (answer({"a": 1}), answer(status=404), {"nova-api/flavors@2.1": Grade.BREACH}),
        (answer({"a": 1}), answer(status=403), {"nova-api/flavors@2.1": Grade.BREACH}),
        (answer(status=404), answer({"a": 1}), {"nova-api/flavors@2.1": Grade.ADDED}),
        (answer(status=403), answer(status=404), {}),
        (answer({"a": 1}), answer({}), {"nova-api/flavors/a@2.1": Grade.BREACH}),
        (answer({"a": 1}), answer(), {"nova-api/flavors@2.1": Grade.BREACH}),
        (answer(members=("os-a", "os-b")), answer(members=("os-b",)), {"nova-api/flavors/os-a@2.1": Grade.BREACH}),
        (answer(), answer(members=("os-c",)), {"nova-api/flavors/os-c@2.1": Grade.ADDED}),
    ],
)
def test_answers(before: Answer, after: Answer, wanted: dict[str, Grade]) -> None:
    assert found(contract(answers={"flavors@2.1": before}), contract(answers={"flavors@2.1": after})) == wanted


def test_a_call_that_was_not_asked_again_is_told_and_no_breach() -> None:
    before = contract(answers={"flavors@2.1": answer({}), "tags@2.90": answer({})})
    compared = compare(before, contract(answers={}))
    assert compared.kept
    assert compared.not_compared == ("nova-api/flavors@2.1", "nova-api/tags@2.90: not asked at 2.90")


def test_the_catalogue_and_the_sdk() -> None:
    catalog = {"compute": {"public R": "http://a:8774"}, "image": {"public R": "http://a:9292"}}
    before = contract(catalog=catalog, sdk={"compute.flavors": Parsed(shape=shape_of({"id": "1"}, RULES))})
    after = contract(
        catalog={"compute": {"public R": "http://b:8774", "admin R": "http://b"}, "volume": {}},
        sdk={"compute.flavors": Parsed(error="KeyError: 'id'")},
    )
    assert found(before, after) == {
        "catalog/compute/public R": Grade.BREACH,
        "catalog/compute/admin R": Grade.ADDED,
        "catalog/image": Grade.BREACH,
        "catalog/volume": Grade.ADDED,
        "sdk/compute.flavors": Grade.BREACH,
    }
    one_host = after.model_copy(update={"via": "ctl1", "catalog": {}, "sdk": {}, "apis": {}})
    assert compare(before, one_host).differences == ()


def test_breaches_are_accepted_by_name() -> None:
    rows = {"servers@2.1": answer({"servers": [{"id": "a", "old": 1}]})}
    fewer = {"servers@2.1": answer({"servers": [{"id": "a"}]})}
    name = "nova-api/servers/servers[].old@2.1"
    assert found(contract(answers=rows), contract(answers=fewer)) == {name: Grade.BREACH}
    for accepted in (name, "nova-api/servers/*@2.1", "*.old@*"):
        assert found(contract(answers=rows), contract(answers=fewer), accepted) == {name: Grade.ACCEPTED}
    assert not matches("nova-api/servers/servers[].ol", name)
    summary = compare(contract(answers=rows), contract(answers=fewer), (name,)).summary
    assert summary == "the contract is kept, 1 breach accepted, 1 call compared"


def test_contracts_of_two_clouds_are_not_compared() -> None:
    with pytest.raises(ContractError, match="two clouds, c and d"):
        compare(contract(), contract(cloud="d"))


def test_a_document_is_read_back_as_it_was() -> None:
    whole = contract(answers={"servers@2.1": answer({"servers": [{"id": "a", "metadata": {"a": "b"}, "none": None}]})})
    assert Contract.from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no contract"), ("[]", "no contract"), ("{}", "Field required"), ('{"stackroll_digest": 1}', "contract")],
)
def test_what_is_no_document_is_refused(text: str, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        Contract.from_json(text)


def test_version_documents_of_the_services() -> None:
    nova = {"versions": [{"id": "v2.0", "status": "SUPPORTED", "version": "", "min_version": ""}]}
    nova["versions"].append({"id": "v2.1", "status": "CURRENT", "version": "2.100", "min_version": "2.1"})
    assert microversions(offers(nova)) == ("2.1", "2.100")
    assert microversions(offers(nova), ("2.1", "2.104")) == ("2.1",)
    keystone = {"versions": {"values": [{"id": "v3.14", "status": "stable"}]}}
    assert offers(keystone) == {"v3.14": Offer(status="stable")}
    assert microversions(offers(keystone)) == ()
    placement = {"versions": [{"id": "v1.0", "min_version": "1.0", "max_version": "1.39", "status": "CURRENT"}]}
    assert microversions(offers(placement)) == ("1.0", "1.39")


def test_what_is_the_same_at_several_microversions_is_told_once() -> None:
    names = ("nova-api/server/server.old@2.1", "nova-api/server/server.old@2.100")
    rows = told(Difference(name=name, grade=Grade.BREACH, text="the field is gone") for name in names)
    assert [(row.place, row.at) for row in rows] == [("nova-api/server/server.old", "2.1 2.100")]


def test_a_comparison_is_kept_without_breaches() -> None:
    assert Comparison().kept
    assert Comparison().summary == "the contract is kept, 0 calls compared"


@pytest.mark.parametrize("unit", RECORDED)
def test_recorded_calls_are_named_once_and_ask_only_for_what_was_picked_before(unit: str) -> None:
    recorded, known = RECORDED[unit], set[str]()
    names = [call.name for call in recorded.calls]
    assert len(names) == len(set(names))
    assert not [name for name in names if "@" in name or "/" in name]
    for call in recorded.calls:
        call.path.format(**dict.fromkeys(known, "x"))
        for value in call.query.values():
            value.format(**dict.fromkeys(known, "x"))
        known |= {call.pick.name} if call.pick else set()
