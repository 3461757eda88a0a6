"""Version ranges in the spellings that advisories use: what they hold, and what nobody can read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.advisories.ranges import Place, UnreadableRangeError, read_ranges

IN, OUT, DOUBT = Place.INSIDE, Place.OUTSIDE, Place.UNKNOWN


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("<26.0.1, ==27.0.0, ==28.0.0", "20.0.0 26.0.0 27.0.0 28.0.0", "26.0.1 27.0.1 28.0.1 29.0.0"),
        ("<30.2.2, >=31.0.0 <31.2.1, >=32.0.0 <32.1.1", "29.4.0 31.0.0 31.2.0 32.1.0", "30.3.0 31.2.1 31.3.0 32.2.0"),
        (">=28.0.0 <31.2.2, >=32.0.0 <32.1.1", "28.0.0 31.2.1", "27.5.1 31.2.2 31.3.0 33.0.0"),
        # A single equals sign, and a comma too many: both are in published advisories.
        ("<16.3.3, >=17.0.0 <17.1.3, =18.0.0", "16.3.2 18.0.0", "16.3.3 17.1.3 18.0.1"),
        ("<24.1.3, >=25.0.0 <26.1.1, >=27.0.0, <29.0.1", "24.1.2 28.0.0 29.0.0", "24.1.3 26.1.1 29.0.1 30.0.0"),
        ("<=12.0.0 >=11.0.0", "11.0.0 12.0.0", "10.9.9 12.0.1"),
        ("<2.0.0 >=3.0.0 <3.1.0", "1.0.0 3.0.5", "2.0.0 3.1.0"),
        ("==27.*, <26.0.1", "27.0.0 27.9.1 25.0.0", "26.0.1 28.0.0"),
        ("27.0.0, 27.0.1", "27.0.0 27.0.1", "27.0.2 26.0.0"),
        (">30.0.0,<30.1.1", "30.0.1 30.1.0", "30.0.0 30.1.1"),
        ("all versions", "0.1 99.0", ""),
        ("Versions up to 27.0.0", "27.0.0 9.0.0", "27.0.1"),
        ("versions before 27.0.1", "27.0.0", "27.0.1"),
        ("prior to 30.2.2 and from 31.0.0 before 31.2.1", "30.2.1 31.0.0", "30.2.2 31.2.1"),
        ("between 27.0.0 and 27.0.1", "27.0.0 27.0.1", "26.9.9 27.0.2"),
        ("27.0.0 through 28.0.0", "27.5.0 28.0.0", "28.0.1"),
        ("18.0.0 and later", "18.0.0 40.0.0", "17.9.9"),
        ("18.0.0 or earlier; ==20.0.0", "17.0.0 20.0.0", "19.0.0"),
    ],
)
def test_what_a_text_means(text: str, inside: str, outside: str) -> None:
    ranges = read_ranges(text)
    assert {version: ranges.place(version) for version in inside.split()} == dict.fromkeys(inside.split(), IN)
    assert {version: ranges.place(version) for version in outside.split()} == dict.fromkeys(outside.split(), OUT)


@pytest.mark.parametrize(
    "text",
    ["", "see below", "the LDAP driver of 27.0.0 only", "<", "!=27.0.0", "~=27.0", "master", "<26.0.1, ==2025.1-eol"],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UnreadableRangeError):
        read_ranges(text)


@pytest.mark.parametrize(
    ("text", "version", "place"),
    [
        ("<31.2.1", "31.2.1.dev5", IN),
        ("<31.2.1", "31.2.1rc1", IN),
        (">=31.0.0 <31.2.1", "31.0.0.0rc1", IN),
        ("<31.2.1", "31.2.0+vendor7", IN),
        ("<31.2.1", "31.2.1+vendor7", OUT),
        # A build between the release that is named and the next one: it may have the fix, or not.
        ("==27.0.0", "27.0.1.dev3", DOUBT),
        ("==27.0.0", "28.0.0.dev3", OUT),
        ("==27.0.0", "unknown", DOUBT),
    ],
)
def test_builds_that_are_no_releases(text: str, version: str, place: Place) -> None:
    assert read_ranges(text).place(version) is place


versions = st.tuples(*[st.integers(0, 40)] * 3).map(lambda parts: ".".join(map(str, parts)))


@given(st.lists(st.tuples(versions, versions), min_size=1, max_size=5), versions)
def test_ranges_hold_what_their_bounds_say(bounds: list[tuple[str, str]], version: str) -> None:
    def key(text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split(".")))

    real = [(low, high) for low, high in bounds if key(low) < key(high)]
    if real:
        ranges = read_ranges(", ".join(f">={low} <{high}" for low, high in real))
        held = any(key(low) <= key(version) < key(high) for low, high in real)
        assert ranges.place(version) is (IN if held else OUT)
        assert read_ranges(ranges.text) == ranges
