"""How an exposure, and the proof that it has gone, look on a terminal."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from model.advisories.documents import Advisory
from model.advisories.exposure import Exposure, Finding, Verdict
from model.advisories.proof import Change, Proof
from model.words import count

_STYLES = {Verdict.EXPOSED: "bold red", Verdict.UNKNOWN: "yellow", Verdict.SAFE: "green"}
_MOST_HOSTS = 6
_MOST_NOTES = 20
_NOTHING = "-"


def show_exposure(found: Exposure, console: Console, *, everything: bool = False) -> None:
    """Print the table, what is in doubt, the notes, and the sum."""
    shown = [one for one in found.findings if everything or one.verdict is not Verdict.SAFE]
    titles = {advisory.id: advisory for advisory in found.advisories}
    if shown:
        table = _table("advisory", "component", "hosts", "installed", "running", "verdict", "fixed in")
        before = ""
        for same in _alike(shown):
            headline = _headline(titles[same[0].advisory]) if same[0].advisory != before else ""
            before = same[0].advisory
            table.add_row(headline, *_row(same, found.unread))
        console.print(table)
    _show_doubts(found, console)
    for note in found.notes[:_MOST_NOTES]:
        console.print(Text.assemble(("note  ", "cyan"), (f"{note.host}: ", "bold"), note.text))
    if len(found.notes) > _MOST_NOTES:
        console.print(Text(f"and {count(len(found.notes) - _MOST_NOTES, 'more note')}: --json shows all", style="dim"))
    console.print(_sum(found))


def show_proof(proof: Proof, console: Console) -> None:
    """Print what has gone, what remains and why."""
    for title, style, changes in (
        ("exposed before, not any more", "green", proof.gone),
        ("still exposed", "bold red", proof.remaining),
        ("exposed before, cannot be judged now", "yellow", proof.unproven),
        ("exposed now, and not before", "bold red", proof.appeared),
    ):
        if changes:
            console.print(Text(f"{title} ({count(len(changes), 'unit')})", style=style))
            console.print(_changes(changes))
            console.print()
    console.print(Text(f"read {proof.before} and {proof.after}", style="dim"))
    if proof.whole:
        advisories = count(len({one.advisory for one in proof.gone}), "advisory", "advisories")
        console.print(Text(f"{proof.cloud} is no longer exposed: {advisories}, by what runs", style="bold green"))
    else:
        left = len(proof.remaining) + len(proof.appeared)
        text = f"{proof.cloud} is still exposed: {count(left, 'unit')}" if left else f"{proof.cloud}: not all is proven"
        console.print(Text(text, style="bold red" if left else "bold yellow"))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        # A name that is cut in two is hard to read and cannot be searched for; hosts and reasons may be many words.
        table.add_column(column, overflow="fold", no_wrap=column not in {"hosts", "verdict", "fixed in", "why"})
    return table


def _headline(advisory: Advisory) -> Text:
    return Text.assemble((advisory.id, "bold"), (f"\n{', '.join(advisory.cves)}" if advisory.cves else "", "dim"))


def _alike(findings: Iterable[Finding]) -> Iterable[list[Finding]]:
    """What is the same on several hosts, or of several units, is told once."""
    units: dict[tuple[object, ...], list[Finding]] = {}
    for one in findings:
        key = (one.advisory, one.product, one.installed, one.running, one.verdict, one.why, one.fixed_in)
        units.setdefault((*key, one.service, one.unit), []).append(one)
    groups: dict[object, list[Finding]] = {}
    for whole, same in units.items():
        groups.setdefault((whole[:-1], tuple(one.host for one in same)), []).extend(same)
    return groups.values()


def _row(same: Sequence[Finding], unread: Mapping[str, str]) -> tuple[Text, ...]:
    first = same[0]
    # Why a host could not be read is told once, below the table.
    why = "the host could not be read" if first.host in unread else first.why
    library = "" if first.product.removeprefix("openstack-") == first.service else f"\n{first.product}"
    verdict = Text(first.verdict.value, style=_STYLES[first.verdict])
    if why:
        verdict.append(f"\n{why}", style="dim")
    units = "\n".join(dict.fromkeys(one.unit for one in same))
    return (
        Text.assemble(units, (library, "dim")),
        Text(hosts_of(same)),
        Text(first.installed or "?"),
        Text(", ".join(first.running) or _NOTHING),
        verdict,
        Text(first.fixed_in),
    )


def hosts_of(findings: Iterable[Finding | Change]) -> str:
    """Name the hosts, the first of many."""
    names = list(dict.fromkeys(one.host for one in findings))
    more = f" and {len(names) - _MOST_HOSTS} more" if len(names) > _MOST_HOSTS else ""
    return f"{', '.join(names[:_MOST_HOSTS])}{more}"


def _show_doubts(found: Exposure, console: Console) -> None:
    doubts: Mapping[str, str] = found.doubts
    for subject, why in (*doubts.items(), *found.unread.items()):
        console.print(Text.assemble(("cannot judge  ", "yellow"), (f"{subject}: ", "bold"), why))


def _sum(found: Exposure) -> Text:
    exposed, unknown = found.exposed, found.of(Verdict.UNKNOWN)
    asked = count(len(found.advisories), "advisory", "advisories")
    nothing = f"{len(found.elsewhere)} of {asked} concern nothing here"
    if exposed:
        ids, hosts = {one.advisory for one in exposed}, {one.host for one in exposed}
        what = f"{count(len(ids), 'advisory', 'advisories')} on {count(len(hosts), 'host')}"
        return Text.assemble((f"{found.cloud} is exposed: {what}", "bold red"), (f"; {nothing}", "dim"))
    if not found.certain:
        doubts = len(unknown) + len(found.doubts) + len(found.unread)
        return Text.assemble(
            (f"{found.cloud}: nothing is known to be exposed, but {count(doubts, 'thing')} cannot be judged", "yellow"),
            (f"; {nothing}", "dim"),
        )
    return Text.assemble((f"{found.cloud} is not exposed", "bold green"), (f"; {nothing}", "dim"))


def _changes(changes: Sequence[Change]) -> Table:
    table = _table("advisory", "component", "hosts", "ran", "runs", "why")
    groups: dict[object, list[Change]] = {}
    for one in changes:
        key = (one.advisory, one.product, one.unit, _running(one.before), _running(one.after), one.why)
        groups.setdefault(key, []).append(one)
    before = ""
    for same in groups.values():
        first = same[0]
        id_ = Text(first.advisory, style="bold") if first.advisory != before else ""
        before = first.advisory
        table.add_row(id_, first.unit, hosts_of(same), _running(first.before), _running(first.after), Text(first.why))
    return table


def _running(finding: Finding | None) -> str:
    if finding is None:
        return _NOTHING
    return ", ".join(finding.running) or (f"({finding.installed})" if finding.installed else _NOTHING)
