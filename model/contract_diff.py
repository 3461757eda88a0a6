"""What differs in two contracts of a cloud: what breaks clients, what is worth a look, what is new."""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from model.base import Record
from model.contract import Answer, ApiContract, Contract, ContractError, Offer, Parsed, number
from model.contract_shape import LIST, MAP, Path, Shape, merged, written
from model.words import count


class Grade(StrEnum):
    """What a difference means for clients that worked before."""

    BREACH = "breach"
    ACCEPTED = "accepted"
    NOTED = "noted"
    ADDED = "added"


class Difference(Record):
    """One thing that is not as it was.

    Attributes:
        name: what the operator accepts it by: ``nova-api/servers detail/servers[].name@2.1``.
        grade: what it means.
        text: what has happened, in one clause.
    """

    name: str
    grade: Grade
    text: str


class Comparison(Record):
    """All that differs.

    Attributes:
        differences: in the order of the documents.
        compared: how many calls and operations both have.
        not_compared: calls that only one of them has, and why where that is known.
    """

    differences: tuple[Difference, ...] = ()
    compared: int = 0
    not_compared: tuple[str, ...] = ()

    def of(self, grade: Grade) -> tuple[Difference, ...]:
        """Return the differences of a grade."""
        return tuple(one for one in self.differences if one.grade is grade)

    @property
    def kept(self) -> bool:
        """Whether nothing breaks clients, but for what was accepted."""
        return not self.of(Grade.BREACH)

    @property
    def summary(self) -> str:
        """One sentence."""
        breaches, accepted = len(self.of(Grade.BREACH)), len(self.of(Grade.ACCEPTED))
        parts = [f"{count(breaches, 'breach', 'breaches')} of the contract" if breaches else "the contract is kept"]
        parts += [f"{count(accepted, 'breach', 'breaches')} accepted"] if accepted else []
        parts += [
            f"{count(number, word, word)}" for word in ("noted", "added") if (number := len(self.of(Grade(word))))
        ]
        parts.append(f"{count(self.compared, 'call')} compared")
        return ", ".join(parts)


def compare(before: Contract, after: Contract, accept: Sequence[str] = ()) -> Comparison:
    """Return what differs; of a capture that asked one host, only what it has asked is compared.

    Args:
        before: what clients rely on.
        after: what there is now.
        accept: names of breaches that are accepted; ``*`` stands for anything.

    Raises:
        ContractError: these are contracts of two clouds.
    """
    if before.cloud != after.cloud:
        raise ContractError(f"these are contracts of two clouds, {before.cloud} and {after.cloud}")
    whole = not after.via
    found: list[Difference] = []
    left_out: list[str] = []
    compared = 0
    for unit, api in before.apis.items():
        if unit in after.apis:
            found += _api(unit, api, after.apis[unit])
            compared += len(api.answers.keys() & after.apis[unit].answers.keys())
            left_out += _not_compared(unit, api, after.apis[unit])
        elif whole:
            found.append(Difference(name=unit, grade=Grade.BREACH, text="the API is gone"))
    found += [_added(unit, "an API") for unit in after.apis if unit not in before.apis]
    if whole:
        found += _catalog(before, after)
        found += [one for name in before.sdk for one in _operation(name, before.sdk[name], after.sdk.get(name))]
        compared += len(before.sdk.keys() & after.sdk.keys())
    judged = tuple(_judged(one, accept) for one in found)
    return Comparison(differences=judged, compared=compared, not_compared=tuple(left_out))


def _judged(one: Difference, accept: Sequence[str]) -> Difference:
    if one.grade is Grade.BREACH and any(matches(pattern, one.name) for pattern in accept):
        return one.model_copy(update={"grade": Grade.ACCEPTED})
    return one


def matches(pattern: str, name: str) -> bool:
    """Tell whether a name fits a pattern, in which ``*`` stands for anything (brackets are those of lists)."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None


def _added(name: str, text: str) -> Difference:
    return Difference(name=name, grade=Grade.ADDED, text=text)


def _breach(name: str, text: str) -> Difference:
    return Difference(name=name, grade=Grade.BREACH, text=text)


def _noted(name: str, text: str) -> Difference:
    return Difference(name=name, grade=Grade.NOTED, text=text)


# Versions


def _api(unit: str, before: ApiContract, after: ApiContract) -> Iterator[Difference]:
    for id_, offer in before.versions.items():
        now = _successor(id_, before, after)
        if now is None:
            yield _breach(f"{unit}/versions/{id_}", "the version is gone")
        else:
            yield from _offer(f"{unit}/versions/{id_}", offer, now)
    taken = {_major(id_) for id_ in before.versions if id_ not in after.versions}
    for id_ in after.versions:
        if id_ not in before.versions and _major(id_) not in taken:
            yield _added(f"{unit}/versions/{id_}", "a version")
    for call, answer in before.answers.items():
        if call in after.answers:
            yield from _answer(unit, call, answer, after.answers[call])


def _successor(id_: str, before: ApiContract, after: ApiContract) -> Offer | None:
    """Return the version of this id; of an API that lists each major version once, the minor may have risen."""
    if id_ in after.versions:
        return after.versions[id_]
    mine = [other for other in before.versions if _major(other) == _major(id_)]
    theirs = [other for other in after.versions if _major(other) == _major(id_)]
    if len(mine) == len(theirs) == 1 and number(theirs[0]) > number(id_):
        return after.versions[theirs[0]]
    return None


def _major(id_: str) -> str:
    return id_.partition(".")[0]


def _offer(name: str, before: Offer, after: Offer) -> Iterator[Difference]:
    if before.least and number(after.least) > number(before.least):
        yield _breach(f"{name}/minimum", f"the least microversion was {before.least}, is {after.least}")
    if before.greatest and (not after.greatest or number(after.greatest) < number(before.greatest)):
        now = after.greatest or "none"
        yield _breach(f"{name}/maximum", f"the greatest microversion was {before.greatest}, is {now}")
    if before.greatest and number(after.greatest) > number(before.greatest):
        yield _added(f"{name}/maximum", f"microversions up to {after.greatest}, were up to {before.greatest}")
    if after.status.upper() == "DEPRECATED" != before.status.upper():
        yield _noted(name, "the version is deprecated now")


# Calls


def _not_compared(unit: str, before: ApiContract, after: ApiContract) -> Iterator[str]:
    for call in before.answers:
        if call not in after.answers:
            _, _, microversion = call.partition("@")
            why = f": not asked at {microversion}" if microversion and microversion not in after.microversions else ""
            yield f"{unit}/{call}{why}"


def _answer(unit: str, call: str, before: Answer, after: Answer) -> Iterator[Difference]:
    label, at, microversion = call.partition("@")
    name, end = f"{unit}/{label}", at + microversion
    if before.good != after.good:
        change = f"answered {before.status}, answers {after.status}"
        yield _breach(name + end, change) if before.good else _added(name + end, change)
        return
    for member in before.members:
        if member not in after.members:
            yield _breach(f"{name}/{member}{end}", "is gone")
    for member in after.members:
        if member not in before.members:
            yield _added(f"{name}/{member}{end}", "is there")
    if before.shape is not None and before.good:
        if after.shape is None:
            yield _breach(name + end, "the answer was JSON, and is none")
        else:
            yield from _named(name, end, compare_shapes(before.shape, after.shape))


def _named(name: str, end: str, found: Iterable[tuple[Path, Grade, str]]) -> Iterator[Difference]:
    for path, grade, text in found:
        yield Difference(name=f"{name}/{written(path)}{end}", grade=grade, text=text)


def compare_shapes(before: Shape, after: Shape, path: Path = ()) -> Iterator[tuple[Path, Grade, str]]:
    """Yield what differs in two shapes: where, what it means, and in words."""
    new = [
        one for one in after.types if one not in before.types and not (one == "integer" and "number" in before.types)
    ]
    if before.types and new:
        yield path, Grade.BREACH, f"was {_types(before)}, is {_types(after)}"
        return
    if before.items is not None and after.items is not None:
        yield from compare_shapes(before.items, after.items, (*path, LIST))
    if before.values is not None or after.values is not None:
        was, now = _values(before), _values(after)
        if was is not None and now is not None:
            yield from compare_shapes(was, now, (*path, MAP))
    elif "object" in before.types and "object" in after.types:
        yield from _fields(before, after, path)


def _types(shape: Shape) -> str:
    return " or ".join(shape.types)


def _values(shape: Shape) -> Shape | None:
    """Return what is in a map; an object may be one whose keys gave it away only once."""
    return shape.values or merged(field.shape for field in shape.fields.values())


def _fields(before: Shape, after: Shape, path: Path) -> Iterator[tuple[Path, Grade, str]]:
    for name, field in before.fields.items():
        here, now = (*path, name), after.fields.get(name)
        if now is None:
            if field.always:
                yield here, Grade.BREACH, f"the field is gone (was {_types(field.shape) or 'empty'})"
            continue
        if field.always and not now.always:
            yield here, Grade.NOTED, "the field is there in some, was there in all"
        yield from compare_shapes(field.shape, now.shape, here)
    for name, field in after.fields.items():
        if name not in before.fields:
            yield (*path, name), Grade.ADDED, f"a field ({_types(field.shape) or 'empty'})"


# Catalogue and SDK


def _catalog(before: Contract, after: Contract) -> Iterator[Difference]:
    for kind, places in before.catalog.items():
        if kind not in after.catalog:
            yield _breach(f"catalog/{kind}", "the service is gone")
            continue
        for place, url in places.items():
            now = after.catalog[kind].get(place)
            if now is None:
                yield _breach(f"catalog/{kind}/{place}", "the endpoint is gone")
            elif now != url:
                yield _breach(f"catalog/{kind}/{place}", f"was {url}, is {now}")
    for kind, places in after.catalog.items():
        if kind not in before.catalog:
            yield _added(f"catalog/{kind}", "a service")
            continue
        for place in places:
            if place not in before.catalog[kind]:
                yield _added(f"catalog/{kind}/{place}", "an endpoint")


def _operation(name: str, before: Parsed, after: Parsed | None) -> Iterator[Difference]:
    if after is None:
        return
    if after.error and not before.error:
        yield _breach(f"sdk/{name}", f"openstacksdk could, and cannot any more: {after.error}")
    elif before.error and not after.error:
        yield _added(f"sdk/{name}", "openstacksdk can, and could not")
    elif before.shape is not None and after.shape is not None:
        yield from _named(f"sdk/{name}", "", compare_shapes(before.shape, after.shape))
