"""Texts for people, from templates: the usual ones, or those of the operator's folder.

Names come from tenants. Whatever a template writes out is one line of printable characters: a guest's name can neither
add a header to a mail nor a line to its text.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from model.highlights import highlights
from model.notify import Announcement, GuestNews, Mail
from model.words import clock, duration

_USUAL = Path(__file__).parent / "templates" / "notify"
_SUBJECT = "Subject:"
# A subject of a mail; RFC 5322 allows 998 characters of a line, and nobody reads so many.
_LONGEST_SUBJECT = 200
# Characters that end lines, turn the direction of writing round, or are seen by nobody.
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})


class TemplateError(Exception):
    """A text could not be made; the message names the template and its line."""


def one_line(value: Any) -> Any:
    """Return a text as one line of visible characters; anything else as it is."""
    if not isinstance(value, str):
        return value
    return "".join(" " if unicodedata.category(letter) in _INVISIBLE else letter for letter in value)


class Letters:
    """Writes what people are told."""

    def __init__(self, folder: str | None = None) -> None:
        """Take the texts of this folder, and the usual ones where it has none."""
        folders: list[str | Path] = [folder, _USUAL] if folder else [_USUAL]
        # Sandboxed: the folder is named by whoever wrote the specification.
        self._templates = SandboxedEnvironment(
            loader=jinja2.FileSystemLoader(folders),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=one_line,
            autoescape=False,  # it is text, and sent as such
        )
        self._templates.filters.update(when=_when, duration=duration)

    def to_operators(self, news: Announcement, reference: str) -> Mail:
        """Write what an operator is told."""
        return self._write(news, "operators", reference, f"{news.id}/operators")

    def to_users(self, news: Announcement, reference: str) -> Mail:
        """Write what everybody may know: nothing of anybody's guests."""
        return self._write(news, "users", reference, f"{news.id}/users")

    def to_project(
        self, news: Announcement, reference: str, project: str, guests: Iterable[GuestNews], name: str = ""
    ) -> Mail:
        """Write what a project is told: of its own guests alone."""
        about = {"project": project, "project_name": name or project, "guests": tuple(guests)}
        return self._write(news, "users", reference, f"{news.id}/project/{project}", **about)

    def _write(self, news: Announcement, audience: str, reference: str, id_: str, **about: Any) -> Mail:
        name = f"{audience}/{news.occasion.value}.txt.j2"
        gained = highlights(news.target, news.inventory.services) if news.source != news.target else ()
        try:
            text = self._templates.get_template(name).render(
                **{"news": news, "project": "", "project_name": "", "guests": (), "highlights": gained, **about}
            )
        except jinja2.TemplateError as error:
            line = getattr(error, "lineno", None)
            where = f"{getattr(error, 'name', None) or name}{f', line {line}' if line else ''}"
            raise TemplateError(f"template {where}: {error.message or type(error).__name__}") from None
        head, _, body = text.partition("\n")
        if not head.startswith(_SUBJECT):
            raise TemplateError(f"template {name}: its first line must be `{_SUBJECT} …`, then an empty line")
        subject = " ".join(head.removeprefix(_SUBJECT).split())[:_LONGEST_SUBJECT]
        note = f"-- \n{one_line(id_)}: if this comes twice, it is the same message."
        body = f"{body.strip()}\n\n{note}\n"
        return Mail(id=id_, reference=reference, project=about.get("project", ""), subject=subject, body=body)


def _when(text: str | None) -> str:
    """Write a time as ``2026-11-23 21:05``."""
    return clock(text, date=True)[:-3]
