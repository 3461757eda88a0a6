"""What restoring dumps would lose: what was made since, in one sentence for the approval, and in a list."""

from pydantic import Field

from model.base import Record
from model.words import count

# The order in which people read it, and their plurals.
KINDS = {"server": "servers", "image": "images", "user": "users", "project": "projects"}


class Losses(Record):
    """What differs between a cloud and its dumps.

    Attributes:
        since: when the first of the dumps was taken, ISO 8601 in UTC.
        made: by kind how many were made since.
        gone: by kind how many were deleted since: they would come back.
        made_names: by kind the names of the first of them.
        gone_names: the same of those deleted.
        rows: by ``schema.table`` the rows in the dump and now, where the two differ.
    """

    since: str
    made: dict[str, int] = Field(default_factory=dict)
    gone: dict[str, int] = Field(default_factory=dict)
    made_names: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    gone_names: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    rows: dict[str, tuple[int, int]] = Field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Whether the cloud has no row more or less than its dumps; rows may have changed even so."""
        return not (self.made or self.gone or self.rows)

    @property
    def summary(self) -> str:
        """One sentence for the approval."""
        since = f"since {self.since.removesuffix('Z')[:16]}Z"
        if self.nothing:
            return f"no table has more or fewer rows than in its dump; changes within rows {since} would be lost"
        added = [now - was for was, now in self.rows.values() if now > was]
        parts = _named(self.made)
        if added:
            parts.append(f"{count(sum(added), 'row')} in {count(len(added), 'table')}")
        text = f"{_joined(parts)} made {since} would be lost" if parts else f"nothing made {since} would be lost"
        return f"{text}; {_joined(_named(self.gone))} deleted since would come back" if self.gone else text


def _named(numbers: dict[str, int]) -> list[str]:
    known = [kind for kind in KINDS if kind in numbers] + sorted(set(numbers) - set(KINDS))
    return [count(numbers[kind], kind, KINDS.get(kind, "")) for kind in known]


def _joined(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
