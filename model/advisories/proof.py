"""What was exposed before and is not any more, and what remains: advisory by advisory, host by host."""

from model.advisories.exposure import Exposure, Finding, Verdict
from model.base import Record


class Change(Record):
    """One unit on one host and one product of one advisory, before and after; None where an account has nothing."""

    advisory: str
    product: str
    host: str
    unit: str
    before: Finding | None = None
    after: Finding | None = None
    why: str = ""


class Proof(Record):
    """Two accounts of a cloud compared.

    Attributes:
        gone: exposed before, not affected now, by what runs.
        remaining: exposed before and now.
        unproven: exposed before, and cannot be judged now.
        appeared: exposed now, and not before.
    """

    cloud: str
    before: str
    after: str
    gone: tuple[Change, ...] = ()
    remaining: tuple[Change, ...] = ()
    unproven: tuple[Change, ...] = ()
    appeared: tuple[Change, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing remains and nothing is in doubt."""
        return not (self.remaining or self.unproven or self.appeared)


def compare(before: Exposure, after: Exposure) -> Proof:
    """Compare two accounts of a cloud; what was exposed and is not in the second account at all is not proven gone."""
    old, new = ({_key(one): one for one in account.findings} for account in (before, after))
    sorts: dict[str, list[Change]] = {"gone": [], "remaining": [], "unproven": [], "appeared": []}
    for key in sorted({*old, *new}):
        first, last = old.get(key), new.get(key)
        was = first is not None and first.verdict is Verdict.EXPOSED
        if last is not None and last.verdict is Verdict.EXPOSED:
            sort, why = "remaining" if was else "appeared", _why_exposed(last, after)
        elif was and (last is None or last.verdict is Verdict.UNKNOWN):
            sort, why = "unproven", last.why if last else _why_missing(key, after)
        elif was:
            sort, why = "gone", ""
        else:
            continue
        advisory, product, host, unit = key
        sorts[sort].append(
            Change(advisory=advisory, product=product, host=host, unit=unit, before=first, after=last, why=why)
        )
    return Proof(cloud=after.cloud, before=before.taken, after=after.taken, **{k: tuple(v) for k, v in sorts.items()})


def _key(finding: Finding) -> tuple[str, str, str, str]:
    return finding.advisory, finding.product, finding.host, finding.unit


def _why_exposed(finding: Finding, account: Exposure) -> str:
    if finding.why:
        return finding.why
    elsewhere = [
        one
        for one in account.findings
        if one.verdict is Verdict.SAFE
        and (one.advisory, one.product, one.service) == (finding.advisory, finding.product, finding.service)
    ]
    if elsewhere:
        hosts = len({one.host for one in elsewhere})
        return f"this host was left out: {hosts} {'others run' if hosts > 1 else 'other runs'} {_version(elsewhere[0])}"
    return f"fixed in {finding.fixed_in}" if finding.fixed_in else "nothing has changed"


def _version(finding: Finding) -> str:
    return ", ".join(finding.running) or finding.installed or "another version"


def _why_missing(key: tuple[str, str, str, str], account: Exposure) -> str:
    advisory, product, host, _ = key
    if host in account.unread:
        return f"the host could not be read: {account.unread[host]}"
    if advisory not in {one.id for one in account.advisories}:
        return "this advisory was not asked about the second time"
    return f"{product} was not found on the host any more"
