"""Lengths of time as people write them in a specification: ``90s``, ``10m``, ``2h``, ``1d``."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> object:
    """Turn ``90s``, ``10m``, ``2h`` or ``1d`` into seconds; numbers pass as seconds.

    Raises:
        ValueError: for any other text.
    """
    if not isinstance(value, str):
        return value
    match = _DURATION.match(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no duration; write a number with a unit, such as 90s, 10m, 2h or 1d")
    return float(match.group(1)) * _UNIT_SECONDS[match.group(2)]


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
