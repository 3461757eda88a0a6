"""The proof that a cloud is wholly back: what runs, and its digest, compared with the one that the baseline kept."""

from collections.abc import Iterable

from activities import openstack, rows
from activities.context import Toolbox, progress, remaining, step_activity, wait_for
from activities.digest import digest_path, load_digest, read_digest
from activities.errors import StepFailed
from activities.verify import SETTLE, SETTLE_EVERY, VerifyActivities
from model.actions import VerifyCloudParams
from model.base import JsonObject
from model.digest import Digest
from model.nova import is_settled
from model.plan import Action
from model.verdict import Verdict, judge
from model.words import count
from model.work import StepResult, Work

# Seconds that what users had begun at that moment may take to end; image downloads of big clouds take minutes.
PATIENCE = 300.0
# As many as an error can carry.
MOST_PROBLEMS = 10


class VerifyRollbackActivities:
    """The activity that ends a way back. ``settle`` is how many seconds the cloud may take to be as it should."""

    def __init__(
        self, toolbox: Toolbox, *, settle: float = SETTLE, every: float = SETTLE_EVERY, patience: float = PATIENCE
    ) -> None:
        self._hosts = toolbox.hosts
        self._verify = VerifyActivities(toolbox, settle=settle, every=every)
        self._settle, self._every, self._patience = settle, every, patience

    @step_activity(Action.VERIFY_ROLLBACK)
    async def verify_rollback(self, work: Work, params: VerifyCloudParams) -> StepResult:  # noqa: ARG002 - of what it calls
        """Prove that the whole cloud is at the old release again, and equal to what it was before the upgrade."""
        before = await load_digest(self._hosts, work)
        proof = await self._verify.verify_cloud(work)
        if before is None:
            raise StepFailed(
                f"{proof.summary}; but what the cloud was before is not known: {digest_path(work.upgrade)} is gone",
                host=work.inventory.database.host,
                remedy="put the file back from a copy, then retry the step; or compare by hand, then skip it",
            )
        verdict, after = await self._compare(work, before)
        await self._let_end(work, after)
        summary = f"back at {work.inventory.release}: {verdict.summary}"
        return StepResult(summary=summary, details={**proof.details, "digest": _shown(before, after, verdict)})

    async def _compare(self, work: Work, before: Digest) -> tuple[Verdict, Digest]:
        """Compare until nothing of the system differs, or fail with everything that does."""
        verdict, after = Verdict(), before

        async def whole() -> bool:
            nonlocal verdict, after
            after = await read_digest(self._hosts, work.inventory, lambda text: progress(f"reading the state: {text}"))
            gone = {*before.guests, *before.images} - {*after.guests, *after.images}
            # What users have begun is looked at later: it may take as long as it takes.
            verdict = judge(before, after, deleted=await rows.deleted(self._hosts, work.inventory, gone), stuck=())
            return verdict.whole

        limit = min(self._settle, remaining(work))
        if not await wait_for(whole, "the cloud to be as it was", limit=limit, every=self._every):
            raise _not_back(work, verdict.problems)
        return verdict, after

    async def _let_end(self, work: Work, after: Digest) -> None:
        """Wait until nova has done once with each server that it was working on, or fail with those that are stuck."""
        busy = {id_ for id_, guest in after.guests.items() if guest.busy}

        async def ended() -> bool:
            nonlocal busy
            if busy:
                busy &= {guest.id for guest in await openstack.guests(work.inventory) if not is_settled(guest)}
            return not busy

        limit = min(self._patience, remaining(work))
        if not await wait_for(ended, "what users have begun to end", limit=limit, every=self._every):
            stuck = judge(after, after, stuck=busy)
            raise _not_back(work, stuck.problems)


def _not_back(work: Work, problems: Iterable[str]) -> StepFailed:
    every = list(problems)
    shown = every[:MOST_PROBLEMS]
    if len(every) > len(shown):
        shown.append(f"and {len(every) - len(shown)} more")
    path, place = digest_path(work.upgrade), work.inventory.database.host
    return StepFailed(
        f"the cloud is not as it was before: {count(len(every), 'problem')}",
        tail="\n".join(shown),
        remedy=f"`stackroll digest` reads it anew, {path} on {place} is how it was, and `stackroll digest --diff` "
        "shows all that differs; repair it, then retry the step",
    )


def _shown(before: Digest, after: Digest, verdict: Verdict) -> JsonObject:
    return {
        "before": before.hashes,
        "after": after.hashes,
        "differences": {
            "system": len(verdict.system),
            "tolerated": len(verdict.tolerated),
            "users": len(verdict.users),
        },
    }
