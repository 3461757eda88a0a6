"""Activities around one instance of an API: out of the balancer, verified, back in."""

from activities.context import Toolbox, remaining, step_activity, wait_for
from activities.errors import StepFailed
from activities.front import Answer, Front, Instance
from activities.work import Hand
from model.actions import ApiParams
from model.plan import Action
from model.work import StepResult, Work

ANSWER_LIMIT = 180.0
UP_LIMIT = 60.0


class ApiActivities:
    """One instance of an API behind the load balancer."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @step_activity(Action.DRAIN_API)
    async def drain_api(self, work: Work, params: ApiParams) -> StepResult:
        """Take an instance out of service: no new requests, then wait for those it has. Another one must serve."""
        front = Front(self._tools.hosts, work.inventory)
        await front.server(params.backend, params.server)
        other = await self._other(front, work, params)
        await front.set_state(params.backend, params.server, "drain")
        sessions = await self._wait_idle(front, work, params)
        if sessions:
            await front.set_state(params.backend, params.server, "ready")
            raise StepFailed(
                f"{params.unit} still had {sessions} request(s) after {params.timeout:g} s of draining; it is back in "
                "service",
                host=work.target,
                remedy="see who holds them (`show sess` on the balancer), or raise drain_timeout, then retry the step",
            )
        await front.set_state(params.backend, params.server, "maint")
        return StepResult(summary=f"{params.unit} on {work.target} is out of service, {other} serves")

    @step_activity(Action.VERIFY_API)
    async def verify_api(self, work: Work, params: ApiParams) -> StepResult:
        """Prove that an instance answers, warmed up, and runs from the version it should."""
        answer = await self._warm(work, params)
        if params.version is not None:
            await Hand(self._tools, work).wait_running((params.unit,), params.version)
        version = f" from {params.version}" if params.version else ""
        return StepResult(
            summary=f"{params.unit} on {work.target} runs{version} and answers within {answer.seconds:.2f} s",
            details={"seconds": round(answer.seconds, 3)},
        )

    @step_activity(Action.ENABLE_API)
    async def enable_api(self, work: Work, params: ApiParams) -> StepResult:
        """Put an instance back into service, once it answers; done when the balancer sends it requests."""
        front = Front(self._tools.hosts, work.inventory)
        # The balancer counts it as up at once, unchecked; and on the way back no verification has come before.
        await self._warm(work, params)
        await front.set_state(params.backend, params.server, "ready")

        async def up() -> bool:
            return (await front.server(params.backend, params.server)).up

        if not await wait_for(up, f"the balancer to use {params.unit} on {work.target}", limit=UP_LIMIT):
            status = (await front.server(params.backend, params.server)).status
            raise StepFailed(
                f"the balancer calls {params.backend}/{params.server} {status}",
                host=work.inventory.load_balancer.host,
                remedy="see its health check (`show servers state`, `show stat`), then retry the step",
            )
        return StepResult(summary=f"{params.unit} on {work.target} is in service")

    async def _other(self, front: Front, work: Work, params: ApiParams) -> str:
        """Return another instance that is in service and answers with a token: without it, clients would notice."""
        others = [s for s in await front.servers(params.backend) if s.name != params.server and s.up]
        problems = []
        for server in others:
            known = work.inventory.hosts.get(server.name)
            address = server.address or (f"{known.address}:{params.port}" if known else "")
            answer = await Instance(work.inventory, address, params.probe).ask()
            if answer.good:
                return server.name
            problems.append(f"{server.name}: {answer.text}")
        raise StepFailed(
            f"no other instance of {params.backend} can serve meanwhile, so {params.server} stays in service",
            host=work.inventory.load_balancer.host,
            tail="\n".join(problems) or "the balancer has no other instance that is up",
            remedy="bring another instance back into service, then retry the step",
        )

    async def _wait_idle(self, front: Front, work: Work, params: ApiParams) -> int:
        left = 0

        async def idle() -> bool:
            nonlocal left
            left = (await front.server(params.backend, params.server)).sessions
            return left == 0

        what = f"the requests of {params.unit} on {work.target} to end"
        await wait_for(idle, what, limit=min(params.timeout, remaining(work)), every=0.2)
        return left

    async def _warm(self, work: Work, params: ApiParams) -> Answer:
        host = work.inventory.hosts[work.target]
        instance = Instance(work.inventory, f"{host.address}:{params.port}", params.probe)
        answer = await instance.wait_good(min(ANSWER_LIMIT, remaining(work)))
        if answer.good:
            answer = await instance.warm_up()
        if not answer.good:
            raise StepFailed(
                f"{params.unit} does not answer an authenticated request at {instance.url}",
                host=work.target,
                tail=answer.text,
                remedy=f"read its log there (journalctl -u {params.unit}), mend the cause, then retry the step",
            )
        return answer
