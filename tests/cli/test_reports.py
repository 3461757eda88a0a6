"""``stackroll report --verify``: whole, changed, and badly asked."""

from pathlib import Path

from activities.signature import sign
from tests.activities.test_signature import allow, make_key
from tests.cli.conftest import run_main


def test_a_report_is_proven_and_a_changed_one_is_not(tmp_path: Path) -> None:
    page, key = tmp_path / "june.html", make_key(tmp_path, "anna")
    page.write_text("all is well")
    sign(page, key)
    words = ("report", "--verify", str(page), "--signers", str(allow(tmp_path, key)))
    proven = run_main(*words)
    assert proven.status == 0
    assert "june.html is as anna@example.org has signed it" in proven.out
    page.write_text("all is very well")
    changed = run_main(*words)
    assert changed.status == 3
    assert "june.html is NOT what was signed" in changed.err


def test_options_that_belong_together(tmp_path: Path) -> None:
    alone = run_main("report", "--verify", str(tmp_path / "june.html"))
    assert (alone.status, "--verify FILE and --signers" in alone.err) == (2, True)
    unwritten = run_main("report", "june", "--sign", str(tmp_path / "key"))
    assert (unwritten.status, "give --html FILE as well" in unwritten.err) == (2, True)
