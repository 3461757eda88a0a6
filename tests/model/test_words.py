import pytest

from model import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (0.42, "0.4 s"),
        (7.0, "7 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1:00 min"),
        (200, "3:20 min"),
        (3599.6, "1:00 h"),
        (7500, "2:05 h"),
        (100_000, "1 d 3 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_milliseconds() -> None:
    assert [words.milliseconds(s) for s in (0.0123, 0.9994, 1.25)] == ["12 ms", "999 ms", "1.2 s"]


def test_count() -> None:
    assert [words.count(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]
    assert words.count(2, "try", "tries") == "2 tries"


def test_times() -> None:
    assert words.clock("2025-11-22T23:45:00+01:00") == "22:45:00"
    assert words.clock("2025-11-22T23:45:00", date=True) == "2025-11-22 23:45:00"
    assert words.clock(None) == words.clock("yesterday") == ""
    assert words.elapsed("2025-11-22T23:45:00+00:00", "2025-11-22T23:46:30+00:00") == "1:30 min"
    assert words.elapsed("2025-11-22T23:45:00+00:00", None) == ""
