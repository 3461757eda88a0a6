import pytest

from model.losses import Losses

SINCE = "2026-11-23T03:04:59Z"
THEN = "since 2026-11-23T03:04Z"


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            {
                "made": {"user": 2, "image": 1, "server": 3},
                "rows": {"nova.instances": (4, 7), "keystone.user": (7, 9), "nova.tags": (5, 4)},
            },
            f"3 servers, 1 image, 2 users and 5 rows in 2 tables made {THEN} would be lost",
        ),
        (
            {"gone": {"server": 1, "volume": 2}, "rows": {"nova.services": (1, 2)}},
            f"1 row in 1 table made {THEN} would be lost; 1 server and 2 volumes deleted since would come back",
        ),
        (
            {"gone": {"project": 1}},
            f"nothing made {THEN} would be lost; 1 project deleted since would come back",
        ),
        (
            {},
            f"no table has more or fewer rows than in its dump; changes within rows {THEN} would be lost",
        ),
    ],
)
def test_the_sentence_of_the_approval(found: dict[str, object], sentence: str) -> None:
    assert Losses.model_validate({"since": SINCE, **found}).summary == sentence
