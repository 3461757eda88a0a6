"""``stackroll report``: what a run did, in the terminal, as a page, as JSON; signed, and proven."""

from pathlib import Path
from typing import Annotated

import typer

from activities.report import render_html
from activities.signature import NAMESPACE, SignatureError, sign, signature_of, verify
from cli.client import open_runs
from cli.console import AsJson, NewestRun, awaited, out, say
from cli.errors import CliError, Exit
from cli.summary import summary
from model.status import Report


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", rich_help_panel="Runs")(awaited(report))


async def report(
    run: NewestRun = "",
    html: Annotated[Path | None, typer.Option("--html", help="Write the HTML report to this file.")] = None,
    key: Annotated[
        Path | None, typer.Option("--sign", metavar="KEY", help="Sign the file of --html with this SSH key: FILE.sig.")
    ] = None,
    proof: Annotated[
        Path | None, typer.Option("--verify", metavar="FILE", help="Prove the signature of a report; needs --signers.")
    ] = None,
    signers: Annotated[
        Path | None, typer.Option("--signers", help="Who may sign: an allowed_signers file, as of ssh-keygen(1).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run changed, where and when; what its users saw of it; who did what.

    With --verify nothing is asked of Temporal. Exit status: 0 as signed, 3 not proven.
    """
    if proof or signers:
        prove(proof, signers)
        return
    if key and not html:
        raise CliError("--sign signs a file: give --html FILE as well", Exit.BAD_INPUT)
    async with open_runs() as runs:
        answer = await runs.report(run or await runs.newest())
    if as_json:
        say(answer.model_dump_json(indent=2))
    else:
        out.print(summary(answer))
    if html:
        write_html(answer, html)
        if key:
            sign_file(html, key)


def write_html(answer: Report, path: Path) -> None:
    """Write the HTML report; a signature of an earlier one goes, since it would prove nothing of this one."""
    try:
        path.write_text(render_html(answer), encoding="utf-8")
        signature_of(path).unlink(missing_ok=True)
    except OSError as error:
        raise CliError(f"{path}: cannot be written: {error.strerror or error}", Exit.BAD_INPUT) from None
    say(f"written to {path}")


def sign_file(path: Path, key: Path) -> None:
    """Sign a file and say how it is proven."""
    try:
        signature = sign(path, key.expanduser())
    except SignatureError as error:
        raise CliError(str(error), Exit.BAD_INPUT) from None
    say(f"signed: {signature}; it is proven by  stackroll report --verify {path} --signers allowed_signers")


def prove(path: Path | None, signers: Path | None) -> None:
    """Say who has signed a report, or that nobody has."""
    if path is None or signers is None:
        raise CliError("--verify FILE and --signers ALLOWED_SIGNERS belong together", Exit.BAD_INPUT)
    try:
        signed = verify(path, signers.expanduser())
    except SignatureError as error:
        raise CliError(str(error), Exit.FINDINGS) from None
    say(f"{path} is as {signed.identity} has signed it ({NAMESPACE}): {signed.said}")
