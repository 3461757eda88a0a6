"""Did the guests go on running? Judged from what they printed: a pure function of the lines and when they were seen.

A guest (templates/guest-init.sh) counts from 0 at every boot, ten times a second, and names each boot. So a guest that
was moved goes on with its count, and one that was started again begins anew, whatever nova says of either.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

_TICK = re.compile(r"TICK ([0-9a-f]{8}) (\d+) \d+\.\d\d")
_DISK = re.compile(r"DISK ([0-9a-f]{8}) (new|kept|now) (\S+)")
LOST = "lost"
# Of what else a guest said, the last lines are kept: a kernel's panic and the boot after it are about thirty.
_WORDS_KEPT = 40


@dataclass(frozen=True)
class Line:
    """One line of a console and when it was seen, in seconds since the epoch."""

    at: float
    text: str


@dataclass
class Transcript:
    """What one console file has shown: whole lines, and what came after the last line's end.

    Attributes:
        server: Id of the server.
        host: Name of the compute host on which the file is.
        lines: In the order of the file.
        rest: The unfinished line at its end.
    """

    server: str
    host: str
    lines: list[Line] = field(default_factory=list)
    rest: str = ""


@dataclass(frozen=True)
class Tick:
    """One count of a guest."""

    at: float
    host: str
    boot: str
    count: int


@dataclass(frozen=True)
class Gap:
    """The longest time in which a guest has said nothing, in seconds, and when it began."""

    seconds: float
    since: float


@dataclass(frozen=True)
class Life:
    """One boot of a guest, as far as it was seen.

    Attributes:
        boot: Its name.
        first: The first count seen.
        last: The last count seen.
        began: When the first count was seen.
        ended: When the last count was seen.
        hosts: Where it ran, in order.
        missing: Counts between the first and the last that nobody saw.
        repeated: Counts seen more than once: the guest ran twice.
        gap: The longest silence between two counts.
    """

    boot: str
    first: int
    last: int
    began: float
    ended: float
    hosts: tuple[str, ...]
    missing: tuple[int, ...]
    repeated: tuple[int, ...]
    gap: Gap

    @property
    def contiguous(self) -> bool:
        """Whether every count from the first to the last was seen exactly once."""
        return not self.missing and not self.repeated


@dataclass(frozen=True)
class Account:
    """What is to be said of one guest over the time of a recording.

    Attributes:
        server: Id of the server.
        lives: Its boots, in order.
        marks: What it said of its disk's mark, each value once, in order.
        unwritten: Whether a boot found the disk empty although it had been marked before.
        silence: Seconds from the last count to the end of the recording.
        lead: Seconds from the begin of the recording to the first count; 0 for a guest that came later.
        words: The last of what else it said, such as its kernel's last words.
    """

    server: str
    lives: tuple[Life, ...]
    marks: tuple[str, ...]
    unwritten: bool
    silence: float
    lead: float
    words: tuple[str, ...] = ()

    @property
    def restarts(self) -> int:
        """How often it was started again: each time the count begins anew."""
        return max(0, len(self.lives) - 1)

    @property
    def contiguous(self) -> bool:
        """Whether each of its boots counted without a hole, and each after the first seen from 0."""
        return (
            bool(self.lives)
            and all(life.contiguous for life in self.lives)
            and not any(life.first for life in self.lives[1:])
        )

    @property
    def down(self) -> float:
        """Seconds between the last count of a boot and the first of the next, added up."""
        return sum(after.began - before.ended for before, after in pairwise(self.lives))

    @property
    def longest_gap(self) -> float:
        """The longest silence in seconds while it should have counted: within a boot, or at either end."""
        return max([life.gap.seconds for life in self.lives] + [self.silence, self.lead])

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where it ran, in order."""
        stops = [host for life in self.lives for host in life.hosts]
        return tuple(host for number, host in enumerate(stops) if number == 0 or stops[number - 1] != host)

    @property
    def disk_intact(self) -> bool:
        """Whether it said something of its disk, and always the same."""
        return len(self.marks) == 1 and self.marks[0] != LOST and not self.unwritten

    def trouble(self, *, longest_gap: float, restarts: int = 0) -> list[str]:
        """Say what is not as it should be.

        Args:
            longest_gap: Seconds of silence that are allowed.
            restarts: How often exactly it should have been started again.
        """
        found = []
        if not self.lives:
            return ["was never heard"]
        for life in self.lives:
            if life.missing:
                found.append(f"counts {_some(life.missing)} of boot {life.boot} are missing")
            if life.repeated:
                found.append(f"counts {_some(life.repeated)} of boot {life.boot} came twice: it ran twice")
        found += [f"boot {life.boot} was first heard at {life.first}, not 0" for life in self.lives[1:] if life.first]
        if self.restarts != restarts:
            said = f"; what else it said: {' | '.join(self.words)}" if self.words else ""
            found.append(f"was started again {self.restarts} times, not {restarts}{said}")
        if self.longest_gap > longest_gap:
            found.append(f"was silent for {self.longest_gap:.2f} s, more than {longest_gap:g} s")
        if not self.disk_intact:
            found.append(f"disk: {', '.join(self.marks) or 'never read'}{' (found empty)' if self.unwritten else ''}")
        return found


def _some(counts: Sequence[int]) -> str:
    shown = ", ".join(str(count) for count in counts[:5])
    return f"{shown} and {len(counts) - 5} more" if len(counts) > 5 else shown


def judge(transcripts: Sequence[Transcript], began: float, ended: float, present: frozenset[str]) -> list[Account]:
    """Return the account of each guest, in the order of their ids.

    Args:
        transcripts: All console files that were seen, several of a guest that was moved.
        began: When the recording began, in seconds since the epoch.
        ended: When it ended.
        present: Servers that were there when it began, and should have counted from then on.
    """
    of_server: dict[str, list[Transcript]] = {}
    for transcript in transcripts:
        of_server.setdefault(transcript.server, []).append(transcript)
    return [
        _account(server, of_server.get(server, []), began, ended, server in present)
        for server in sorted(of_server.keys() | present)
    ]


def _account(server: str, transcripts: list[Transcript], began: float, ended: float, present: bool) -> Account:
    whole = _mended(transcripts)
    ticks = [
        Tick(line.at, transcript.host, found[1], int(found[2]))
        for transcript in whole
        for line in transcript.lines
        if (found := _TICK.fullmatch(line.text))
    ]
    disk = sorted(
        (line.at, found[1], found[2], found[3])
        for transcript in whole
        for line in transcript.lines
        if (found := _DISK.fullmatch(line.text))
    )
    marks = tuple(dict.fromkeys(mark for _, _, _, mark in disk))
    lives = tuple(_lives(ticks))
    silence = ended - lives[-1].ended if lives else ended - began
    lead = max(0.0, lives[0].began - began) if lives and present else 0.0
    # The mark is drawn once in a disk's life: at its guest's first boot.
    first = lives[0].boot if lives else ""
    unwritten = any(state == "new" and (number or boot != first) for number, (_, boot, state, _) in enumerate(disk))
    return Account(server, lives, marks, unwritten, silence, lead, _words(whole))


def _words(transcripts: list[Transcript]) -> tuple[str, ...]:
    """Return the last of what was neither counted nor said of the disk, in the order in which it was seen."""
    others = sorted(
        (line.at, place, line.text.strip())
        for transcript in transcripts
        for place, line in enumerate(transcript.lines)
        if line.text.strip() and not _known(line.text)
    )
    return tuple(text for _, _, text in others[-_WORDS_KEPT:])


def _mended(transcripts: list[Transcript]) -> list[Transcript]:
    """Join a line whose begin is the last thing on one host with its end, the first thing on another.

    A guest may be moved in the middle of a line.
    """
    rests = [transcript.rest for transcript in transcripts if transcript.rest]
    mended = []
    for transcript in transcripts:
        head = transcript.lines[0] if transcript.lines else None
        joined = [f"{rest}{head.text}" for rest in rests] if head and not _known(head.text) else []
        text = next((line for line in joined if _known(line)), None)
        if head and text:
            mended.append(replace(transcript, lines=[Line(head.at, text), *transcript.lines[1:]]))
        else:
            mended.append(transcript)
    return mended


def _known(text: str) -> bool:
    return bool(_TICK.fullmatch(text) or _DISK.fullmatch(text))


def _lives(ticks: list[Tick]) -> list[Life]:
    """Return the boots in the order in which they were first seen."""
    of_boot: dict[str, list[Tick]] = {}
    for tick in sorted(ticks, key=lambda tick: tick.at):
        of_boot.setdefault(tick.boot, []).append(tick)
    return [_life(boot, sorted(seen, key=lambda tick: tick.count)) for boot, seen in of_boot.items()]


def _life(boot: str, ticks: list[Tick]) -> Life:
    counts = [tick.count for tick in ticks]
    hosts = [tick.host for tick in ticks]
    return Life(
        boot,
        first=counts[0],
        last=counts[-1],
        began=ticks[0].at,
        ended=ticks[-1].at,
        hosts=tuple(host for number, host in enumerate(hosts) if number == 0 or hosts[number - 1] != host),
        missing=tuple(missing for one, after in pairwise(counts) for missing in range(one + 1, after)),
        repeated=tuple(one for one, after in pairwise(counts) if one == after),
        gap=_longest(ticks),
    )


def _longest(ticks: list[Tick]) -> Gap:
    gaps = [Gap(after.at - one.at, one.at) for one, after in pairwise(ticks)]
    return max(gaps, key=lambda gap: gap.seconds, default=Gap(0.0, ticks[0].at))
