"""Signatures of reports, by the ssh-keygen of this machine."""

import subprocess
from pathlib import Path

import pytest

from activities.signature import SignatureError, sign, signature_of, verify


def make_key(folder: Path, name: str) -> Path:
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], check=True)
    return key


def allow(folder: Path, *keys: Path) -> Path:
    signers = folder / "allowed_signers"
    lines = (
        f'{key.name}@example.org namespaces="stackroll-report" {key.with_suffix(".pub").read_text()}' for key in keys
    )
    signers.write_text("".join(lines))
    return signers


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text("<h1>lab runs 2026.2</h1>\n")
    return path


def test_a_signed_report_names_who_has_signed_it(report: Path, tmp_path: Path) -> None:
    anna, bert = make_key(tmp_path, "anna"), make_key(tmp_path, "bert")
    assert sign(report, bert) == tmp_path / "report.html.sig"
    assert verify(report, allow(tmp_path, anna, bert)).identity == "bert@example.org"


def test_it_is_proven_without_this_project_too(report: Path, tmp_path: Path) -> None:
    anna = make_key(tmp_path, "anna")
    sign(report, anna)
    words = "ssh-keygen -Y verify -f allowed_signers -I anna@example.org -n stackroll-report -s report.html.sig"
    allow(tmp_path, anna)
    with report.open() as file:
        ended = subprocess.run(words.split(), cwd=tmp_path, stdin=file, check=False, capture_output=True)
    assert ended.returncode == 0, ended.stderr


def test_one_changed_letter_is_found(report: Path, tmp_path: Path) -> None:
    anna = make_key(tmp_path, "anna")
    sign(report, anna)
    report.write_text(report.read_text().replace("2026.2", "2026.3"))
    with pytest.raises(SignatureError, match=r"report\.html is NOT what was signed"):
        verify(report, allow(tmp_path, anna))


def test_a_key_that_nobody_allows_proves_nothing(report: Path, tmp_path: Path) -> None:
    anna, mallory = make_key(tmp_path, "anna"), make_key(tmp_path, "mallory")
    sign(report, mallory)
    with pytest.raises(SignatureError, match=r"signed by nobody in .*allowed_signers"):
        verify(report, allow(tmp_path, anna))


def test_a_signature_of_something_else_proves_nothing(report: Path, tmp_path: Path) -> None:
    anna = make_key(tmp_path, "anna")
    subprocess.run(["ssh-keygen", "-Y", "sign", "-q", "-n", "git", "-f", str(anna), str(report)], check=True)
    with pytest.raises(SignatureError, match="NOT what was signed"):
        verify(report, allow(tmp_path, anna))


@pytest.mark.parametrize("missing", ["report.html", "report.html.sig", "allowed_signers"])
def test_what_is_missing_is_named(report: Path, tmp_path: Path, missing: str) -> None:
    anna = make_key(tmp_path, "anna")
    sign(report, anna)
    signers = allow(tmp_path, anna)
    (tmp_path / missing).unlink()
    with pytest.raises(SignatureError, match=f"{missing}: no such"):
        verify(report, signers)


def test_a_key_that_is_none_leaves_no_signature(report: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("no key")
    key.chmod(0o600)
    with pytest.raises(SignatureError, match=r"could not be signed with .*key: "):
        sign(report, key)
    assert not signature_of(report).exists()
    with pytest.raises(SignatureError, match="no such key"):
        sign(report, tmp_path / "absent")
