"""The Markdown that the web UI shows of a run: one small table, and what it waits for."""

from model.status import UpgradeStatus

_MOST_FAILURES_SHOWN = 5
_MOST_CHARACTERS = 15_000  # the server refuses more than 20,000 bytes


def current_details(status: UpgradeStatus) -> str:
    """Return the Markdown of a status."""
    lines = [
        f"### {status.cloud}: {status.source} to {status.target}: {status.state.value}"
        + (", paused" if status.paused else ""),
        "",
        f"plan `{status.plan_hash or 'not made yet'}`, started {status.started}",
        "",
    ]
    if status.message:
        lines += [status.message, ""]
    if status.phases:
        lines += ["| phase | steps done | running | failed |", "|---|---|---|---|"]
        lines += [f"| {p.phase.value} | {p.done} of {p.total} | {p.running} | {p.failed} |" for p in status.phases]
        lines.append("")
    lines += [f"- running: {step.title} (since {step.started})" for step in status.running]
    lines += [f"- **waits for {w.what}** since {w.since}: {w.go_on}" for w in status.waiting]
    lines += [f"- **failed: {step.title}**: {step.error}" for step in status.failed[:_MOST_FAILURES_SHOWN]]
    return "\n".join(lines)[:_MOST_CHARACTERS]
