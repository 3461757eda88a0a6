"""What the differences of two digests mean: is the cloud wholly back, or wholly at the new release?

Every difference is of one kind: of the **system**, which an upgrade or a rollback must leave as it should be;
**tolerated**, because the old release runs on the expanded schema and guests move when hosts are drained; or the
**users'**, who went on working. Where a digest cannot tell whose doing something is, it is taken for the users' unless
it looks like damage: a guest in ERROR, an image with other content, room that is held for nobody.
"""

from collections.abc import Collection
from enum import StrEnum

from model.base import Record
from model.digest import SYSTEM, TOLERATED, Difference, Digest, Kind, Section, differences
from model.digest_words import describe, namer, tolerated_summary, users_summary
from model.releases import Release
from model.words import count, listed

# What glance never changes once it is there.
_CONTENT_OF_IMAGES = ("size", "checksum")
# Migrations that users begin: they wait for a user to confirm or revert them.
_MIGRATIONS_OF_USERS = ("resize", "migration")


class Concern(StrEnum):
    """Whose a difference is."""

    SYSTEM = "system"
    TOLERATED = "tolerated"
    USERS = "users"


class Verdict(Record):
    """What two digests show.

    Attributes:
        problems: what must not be, one line for all that is alike: differences of the system, damage to what is the
            users', and what could not be read afterwards.
        not_compared: what could not be read before.
    """

    system: tuple[Difference, ...] = ()
    tolerated: tuple[Difference, ...] = ()
    users: tuple[Difference, ...] = ()
    problems: tuple[str, ...] = ()
    not_compared: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the system is wholly as it should be, and nothing of the users is damaged."""
        return not self.problems

    @property
    def equal(self) -> bool:
        """Whether the state is the same: nothing differs but what is tolerated."""
        return not (self.system or self.users or self.problems or self.not_compared)

    @property
    def summary(self) -> str:
        """One sentence: equal or not, and what is different without harm."""
        parts = ["equal to before" if self.whole else f"not as before: {count(len(self.problems), 'problem')}"]
        parts += users_summary(self.users)
        parts += tolerated_summary(self.tolerated)
        if self.not_compared:
            parts.append(f"not read before, and so not compared: {listed(self.not_compared)}")
        return "; ".join(parts)

    def of(self, concern: Concern) -> tuple[Difference, ...]:
        """Return the differences of one concern."""
        return {Concern.SYSTEM: self.system, Concern.TOLERATED: self.tolerated, Concern.USERS: self.users}[concern]


def judge(
    before: Digest,
    after: Digest,
    *,
    deleted: Collection[str] | None = None,
    stuck: Collection[str] | None = None,
) -> Verdict:
    """Judge a cloud after a rollback by what it was before the upgrade.

    Args:
        before: the cloud as it was.
        after: the cloud as it is.
        deleted: ids of guests and images that somebody deleted, by the services' own databases; others that are gone
            are lost. None: nobody has asked, and all that are gone count as deleted.
        stuck: ids of guests that nova has been working on for too long. None: of all that it works on now.

    Raises:
        DigestError: these are digests of two clouds.
    """
    return _Judge(before, after, deleted, stuck, upgraded=False).verdict()


def same_release(
    before: Digest,
    after: Digest,
    release: Release,
    *,
    deleted: Collection[str] | None = None,
    stuck: Collection[str] | None = None,
) -> Verdict:
    """Judge a cloud after an upgrade to this release by what it was before: the same, but for the release.

    The arguments are those of ``judge``.
    """
    return _Judge(at_release(before, release), after, deleted, stuck, upgraded=True).verdict()


def at_release(digest: Digest, release: Release) -> Digest:
    """Return the digest as it would be if everything in it ran this release; schemas and APIs are left as they are."""
    versions = release.versions
    return digest.model_copy(
        update={
            "packages": {
                host: {name: one.model_copy(update={"active": versions[name]}) for name, one in services.items()}
                for host, services in digest.packages.items()
            },
            "processes": {
                host: {
                    unit: one.model_copy(update={"version": versions[unit.partition("-")[0]]})
                    for unit, one in units.items()
                }
                for host, units in digest.processes.items()
            },
            "services": {
                binary: {
                    host: one.model_copy(update={"version": release.nova_service_version}) for host, one in rows.items()
                }
                for binary, rows in digest.services.items()
            },
        }
    )


class _Judge:
    def __init__(
        self,
        before: Digest,
        after: Digest,
        deleted: Collection[str] | None,
        stuck: Collection[str] | None,
        *,
        upgraded: bool,
    ) -> None:
        self._before, self._after = before, after
        self._deleted, self._upgraded = deleted, upgraded
        busy = {id_ for id_, guest in after.guests.items() if guest.busy}
        self._stuck = sorted(busy if stuck is None else busy & set(stuck))
        # A guest that comes or goes takes its place and its allocation with it: told once.
        self._come_and_gone = before.guests.keys() ^ after.guests.keys()

    def verdict(self) -> Verdict:
        found: dict[Concern, list[Difference]] = {concern: [] for concern in Concern}
        for difference in differences(self._before, self._after):
            if not self._follows(difference):
                found[self._concern(difference)].append(difference)
        unread = [f"{name} could not be read: {why}" for name, why in sorted(self._after.unread.items())]
        return Verdict(
            system=tuple(found[Concern.SYSTEM]),
            tolerated=tuple(found[Concern.TOLERATED]),
            users=tuple(found[Concern.USERS]),
            problems=(
                *unread,
                *describe(found[Concern.SYSTEM], namer(self._after, self._before)),
                *self._stuck_guests(),
            ),
            not_compared=tuple(sorted(self._before.unread.keys() - self._after.unread.keys())),
        )

    def _follows(self, difference: Difference) -> bool:
        """Tell whether a difference only repeats that a guest was made or deleted."""
        match (difference.section, difference.path):
            case (Section.PLACES, (id_,)) | (Section.ALLOCATIONS, ("guests", id_)):
                return id_ in self._come_and_gone
        return False

    def _concern(self, difference: Difference) -> Concern:
        section = difference.section
        if section in SYSTEM:
            return self._system_concern(difference)
        if section in TOLERATED:
            # A schema that is gone, or was not there, is no schema that is ahead.
            gone = section is Section.SCHEMAS and difference.kind is not Kind.CHANGED
            return Concern.SYSTEM if gone else Concern.TOLERATED
        if section is Section.GUESTS:
            return self._guest_concern(difference)
        if section is Section.ALLOCATIONS:
            return self._allocation_concern(difference)
        if section is Section.IMAGES:
            return self._image_concern(difference)
        return Concern.USERS

    def _system_concern(self, difference: Difference) -> Concern:
        """After an upgrade, old versions may be kept and APIs may offer more; after a rollback nothing of it may be."""
        if not self._upgraded:
            return Concern.SYSTEM
        kept = difference.section is Section.PACKAGES and difference.path[-1] == "installed"
        offered = difference.section is Section.APIS and difference.kind is not Kind.REMOVED
        return Concern.TOLERATED if kept or offered else Concern.SYSTEM

    def _guest_concern(self, difference: Difference) -> Concern:
        if difference.kind is Kind.REMOVED:
            id_ = difference.path[0]
            # Who deletes a server before it is on a host leaves no row that would say so.
            unbuilt = self._before.places.get(id_) is None and self._before.guests[id_].busy
            return Concern.USERS if unbuilt else self._gone(id_)
        broken = difference.path[1:] == ("status",) and difference.after == "ERROR"
        return Concern.SYSTEM if broken else Concern.USERS

    def _allocation_concern(self, difference: Difference) -> Concern:
        match difference.path:
            case ("orphans", *_):
                return Concern.USERS if difference.kind is Kind.REMOVED else Concern.SYSTEM
            case ("migrations", _):
                mine = difference.kind is Kind.REMOVED or str(difference.after).startswith(_MIGRATIONS_OF_USERS)
                return Concern.USERS if mine else Concern.SYSTEM
            case ("guests", id_, *_) if id_ in self._after.guests and self._after.guests[id_].busy:
                # While it moves, what it holds is in two places.
                return Concern.USERS
            case ("guests", _, "home"):
                return Concern.USERS if difference.after else Concern.SYSTEM
            case ("guests", _) if difference.kind is Kind.REMOVED:
                return Concern.SYSTEM
        return Concern.USERS

    def _image_concern(self, difference: Difference) -> Concern:
        if difference.kind is Kind.REMOVED:
            return self._gone(difference.path[0])
        damaged = difference.path[-1] in _CONTENT_OF_IMAGES and difference.before is not None
        return Concern.SYSTEM if damaged else Concern.USERS

    def _gone(self, id_: str) -> Concern:
        return Concern.USERS if self._deleted is None or id_ in self._deleted else Concern.SYSTEM

    def _stuck_guests(self) -> list[str]:
        return [
            f"guest {guest.name} ({id_}) is still in {guest.task_state or guest.status}"
            for id_, guest in ((id_, self._after.guests[id_]) for id_ in self._stuck)
        ]
