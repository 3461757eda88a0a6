"""What else is old on a host, whatever the advisories say: kernels, replaced libraries, guests on a replaced QEMU."""

from collections.abc import Iterator

from model.advisories.reading import HostReading
from model.base import Record
from model.reboot import judge_need
from model.words import count, listed


class Note(Record):
    """Something that an operator should know of a host."""

    host: str
    text: str


def notes_of(host: str, reading: HostReading) -> Iterator[Note]:
    """Return what is old on a host."""
    if reading.boot is not None:
        for reason in judge_need(reading.boot).reasons:
            yield Note(host=host, text=f"{reason}: `stackroll reboot` brings hosts up to date")
    if reading.guests:
        versions = sorted({guest.version for guest in reading.guests if guest.version})
        old = f" ({', '.join(versions)})" if versions else ""
        now = f"; {reading.hypervisor} is installed" if reading.hypervisor else ""
        names = [guest.guest or f"process {guest.pid}" for guest in reading.guests]
        yield Note(
            host=host,
            text=f"{count(len(names), 'guest')} still on a QEMU that was replaced{old}{now}: "
            f"{listed(names)}: move them live, or start them anew",
        )
