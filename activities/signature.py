"""Signing a report with an operator's SSH key, and proving such a signature: OpenSSH's own ``ssh-keygen -Y``.

Format and meaning: ``PROTOCOL.sshsig`` of OpenSSH; ``ALLOWED SIGNERS`` in ssh-keygen(1). The signature is a file of its
own beside what it signs, so everybody who has ssh-keygen can prove it without this project.
"""

import subprocess
import tempfile
from pathlib import Path

from model.base import Record

# Keeps a signature of a report from being taken for one of something else.
NAMESPACE = "stackroll-report"
_NO_KEYGEN = "ssh-keygen was not found; install OpenSSH's client (8.2 or newer)"


class SignatureError(Exception):
    """A file could not be signed, or its signature proves nothing; the message says which, and what to do."""


class Signed(Record):
    """Who has signed: the identity that the file of allowed signers gives to the key, and what ssh-keygen said."""

    identity: str
    said: str


def signature_of(path: Path) -> Path:
    """Return where the signature of a file is."""
    return path.with_name(f"{path.name}.sig")


def sign(path: Path, key: Path) -> Path:
    """Sign a file with an SSH key and return where the signature is; an earlier one is replaced.

    ssh-keygen asks for the key's passphrase at the terminal; for a public key it asks the SSH agent.

    Raises:
        SignatureError: with what ssh-keygen says.
    """
    if not key.is_file():
        raise SignatureError(f"{key}: no such key; name a private SSH key, or a public one that the SSH agent holds")
    target = signature_of(path)
    target.unlink(missing_ok=True)
    ended = _run("-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), str(path))
    if ended.returncode or not target.is_file():
        raise SignatureError(f"{path} could not be signed with {key}: {_said(ended)}")
    return target


def verify(path: Path, signers: Path) -> Signed:
    """Prove that a file is as one of the allowed signers has signed it.

    Raises:
        SignatureError: there is no signature, the file was changed since, or nobody of them has signed it.
    """
    signature = signature_of(path)
    for needed, what in ((path, "report"), (signature, "signature"), (signers, "file of allowed signers")):
        if not needed.is_file():
            raise SignatureError(f"{needed}: no such {what}")
    content = path.read_bytes()
    with tempfile.TemporaryDirectory(prefix="stackroll-") as folder:
        # One copy for both calls: what is proven must be what was asked about.
        proof = Path(folder) / "signature"
        proof.write_bytes(signature.read_bytes())
        return _verify(path, content, proof, signers)


def _verify(path: Path, content: bytes, proof: Path, signers: Path) -> Signed:
    by_whom = _run("-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(proof), content=content)
    if by_whom.returncode:
        raise SignatureError(
            f"{path} is NOT what was signed: it or its signature was changed afterwards, or the signature belongs to "
            f"something else ({_said(by_whom)}); do not trust it, fetch it again from who wrote it"
        )
    found = _run("-Y", "find-principals", "-s", str(proof), "-f", str(signers))
    if found.returncode or not found.stdout.strip():
        raise SignatureError(
            f"{path} is whole, but signed by nobody in {signers} ({_said(by_whom)}); if you trust that key, add a line "
            f'`NAME namespaces="{NAMESPACE}" KEY`'
        )
    identity = found.stdout.decode(errors="replace").split("\n")[0].strip()
    proven = _run(
        "-Y", "verify", "-n", NAMESPACE, "-f", str(signers), "-I", identity, "-s", str(proof), content=content
    )
    if proven.returncode:
        raise SignatureError(f"{path}: the signature of {identity} is not valid: {_said(proven)}")
    return Signed(identity=identity, said=proven.stdout.decode(errors="replace").strip())


def _run(*words: str, content: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", *words], input=content, capture_output=True, check=False)
    except FileNotFoundError:
        raise SignatureError(_NO_KEYGEN) from None


def _said(ended: subprocess.CompletedProcess[bytes]) -> str:
    lines = (ended.stderr + b"\n" + ended.stdout).decode(errors="replace").split("\n")
    return "; ".join(line.strip() for line in lines if line.strip()) or f"exit status {ended.returncode}"
