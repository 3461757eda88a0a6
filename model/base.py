"""The base of every record that crosses a process boundary: frozen, strict about unknown keys."""

from typing import Any

from pydantic import BaseModel, ConfigDict

JsonObject = dict[str, Any]


class Record(BaseModel):
    """An immutable record. Unknown keys are errors, so that a typing mistake never passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")
