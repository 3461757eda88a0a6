"""The load balancer: instances and their states, requests on their way, writes that are held back, its admin socket."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from simulator.http import Request, Response

# What deploy/haproxy's script allows at most, whatever the map says.
LONGEST_HOLD = 90.0
_STATES = {"ready": "UP", "drain": "DRAIN", "maint": "MAINT"}
_NO_SERVER = b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n"
_ids = itertools.count(1)


@dataclass
class Server:
    """An instance of an API, as the balancer sees it."""

    name: str
    address: str
    answer: Callable[[Request], Awaitable[Response | None]]
    alive: Callable[[], bool]
    state: str = "ready"
    sessions: int = 0

    @property
    def status(self) -> str:
        """The balancer's word for it."""
        return "DOWN" if self.state == "ready" and not self.alive() else _STATES[self.state]


@dataclass(eq=False)
class Session:
    """A request on its way."""

    frontend: str
    server: str | None = None
    begun: float = field(default_factory=time.monotonic)
    id: int = field(default_factory=lambda: next(_ids))


class Balancer:
    """One HAProxy."""

    def __init__(self) -> None:
        self.backends: dict[str, dict[str, Server]] = {}
        self.held_until: dict[str, float] = {}
        self._sessions: set[Session] = set()
        self._turn = itertools.count()

    def add(
        self,
        backend: str,
        name: str,
        address: str,
        answer: Callable[[Request], Awaitable[Response | None]],
        alive: Callable[[], bool],
    ) -> None:
        """Let an instance serve."""
        self.backends.setdefault(backend, {})[name] = Server(name, address, answer, alive)

    async def answer(self, frontend: str, request: Request) -> Response | None:
        """Send a request to an instance, and hand back its answer."""
        session = _Entered(self._sessions, Session(frontend))
        with session as entry:
            if request.writes:
                await self._hold(frontend)
            server = self._pick(frontend)
            if server is None:
                return Response(503, _NO_SERVER)
            entry.server = server.name
            server.sessions += 1
            try:
                return await server.answer(request)
            finally:
                server.sessions -= 1

    async def _hold(self, frontend: str) -> None:
        begun = time.monotonic()
        while time.time() < self.held_until.get(frontend, 0.0) and time.monotonic() - begun < LONGEST_HOLD:  # noqa: ASYNC110 - its end may be moved
            await asyncio.sleep(0.05)

    def _pick(self, frontend: str) -> Server | None:
        ready = [server for server in self.backends[frontend].values() if server.status == "UP"]
        return ready[next(self._turn) % len(ready)] if ready else None

    def say(self, command: str) -> str:
        """Return what the admin socket answers."""
        match command.split():
            case ["show", "stat"]:
                return self._statistics()
            case ["show", "sess"]:
                return "".join(map(_session, sorted(self._sessions, key=lambda one: one.id)))
            case ["show", "map"]:
                held = "".join(
                    f"0x{n} {name} {int(until)}\n" for n, (name, until) in enumerate(self.held_until.items())
                )
                return f"{int(time.time())}\n{held}\n"
            case ["set", "server", place, "state", state] if state in _STATES:
                return self._set(place, state)
        return f"Unknown command: '{command}'.\n"

    def forget(self) -> None:
        """Begin anew, as after a restart: nobody is in maintenance, nothing is held back."""
        self.held_until.clear()
        for servers in self.backends.values():
            for server in servers.values():
                server.state = "ready"

    def hold(self, frontend: str, seconds: int) -> str:
        """Hold writes back for so many seconds from now; 0 ends it."""
        self.held_until[frontend] = time.time() + seconds if seconds else 0.0
        return "\n"

    def _set(self, place: str, state: str) -> str:
        backend, _, name = place.partition("/")
        if backend not in self.backends:
            return "No such backend.\n"
        if name not in self.backends[backend]:
            return "No such server.\n"
        self.backends[backend][name].state = state
        return "\n"

    def _statistics(self) -> str:
        lines = ["# pxname,svname,qcur,scur,status,addr,"]
        for backend, servers in self.backends.items():
            lines.append(f"{backend},FRONTEND,,{sum(s.sessions for s in servers.values())},OPEN,,")
            lines += [f"{backend},{s.name},0,{s.sessions},{s.status},{s.address}," for s in servers.values()]
            up = any(server.status == "UP" for server in servers.values())
            lines.append(f"{backend},BACKEND,0,0,{'UP' if up else 'DOWN'},,")
        return "\n".join(lines) + "\n\n"


class _Entered:
    def __init__(self, sessions: set[Session], session: Session) -> None:
        self._sessions, self._session = sessions, session

    def __enter__(self) -> Session:
        self._sessions.add(self._session)
        return self._session

    def __exit__(self, *_: object) -> None:
        self._sessions.discard(self._session)


def _session(session: Session) -> str:
    server, age = session.server or "<none>", int(time.monotonic() - session.begun)
    return (
        f"0x{session.id:012x}: proto=tcpv4 src=127.0.0.1:50000 fe={session.frontend} be={session.frontend} "
        f"srv={server} ts=00 epoch=0 age={age}s calls=1 rate=0 cpu=0 lat=0\n"
    )
