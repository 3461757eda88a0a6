"""Writing the report of a run: one self-contained page and the data behind it."""

import asyncio
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from temporalio import activity

from activities.experience import keep_times
from activities.files import state_folder, write_file
from model.experience import times_of
from model.report import ReportFiles, make_page
from model.status import Report
from model.words import clock, count, duration, elapsed, milliseconds

_TEMPLATES = Path(__file__).parent / "templates"


def render_html(report: Report) -> str:
    """Return the report as one page that needs nothing from anywhere else."""
    return _template().render(report=report, run=report.status, page=make_page(report))


class Reports:
    """The activity that writes reports, below one folder."""

    def __init__(self, folder: Path | None = None) -> None:
        """Write below this folder; by default below the state folder."""
        self._folder = folder or state_folder() / "reports"

    @activity.defn(name="write_report")
    async def write_report(self, report: Report) -> ReportFiles:
        """Write the report of a run; written again, it replaces the earlier one."""
        return await asyncio.to_thread(self.write, report)

    def write(self, report: Report) -> ReportFiles:
        """Write page and data, each whole or not at all."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", report.status.upgrade)
        html, data = self._folder / f"{name}.html", self._folder / f"{name}.json"
        write_file(data, report.model_dump_json(indent=2))
        write_file(html, render_html(report))
        if times := times_of(report):
            keep_times(self._folder.parent, report.status.cloud, times)
        return ReportFiles(html=str(html), json_path=str(data))


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(clock=clock, duration=duration, milliseconds=milliseconds)
    environment.globals.update(count=count, elapsed=elapsed)
    return environment.get_template("report.html.j2")
