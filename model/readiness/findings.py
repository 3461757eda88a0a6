"""What a check of the cloud finds, by how bad it is."""

from model.work import Finding


def error(check: str, subject: str, problem: str, remedy: str) -> Finding:
    """Something that forbids the upgrade."""
    return Finding(severity="error", subject=subject, problem=problem, remedy=remedy, check=check)


def warning(check: str, subject: str, problem: str, remedy: str) -> Finding:
    """Something that should be mended, and forbids nothing."""
    return Finding(severity="warning", subject=subject, problem=problem, remedy=remedy, check=check)


def note(check: str, subject: str, problem: str, remedy: str) -> Finding:
    """Something to know."""
    return Finding(severity="note", subject=subject, problem=problem, remedy=remedy, check=check)
