"""Users of the lab while it is upgraded: they probe, create and delete servers, and upload images."""

import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from tests.lab.access import PROBES, Cloud


@dataclass
class Seen:
    """What one prober saw: response times in seconds, and every failure in words."""

    times: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        longest = f"median {statistics.median(self.times):.3f} s, longest {max(self.times):.2f} s" if self.times else ""
        return f"{len(self.times)} requests, {len(self.failures)} failed, {longest}"


class Threads:
    """Threads that end when the observer is stopped; what goes wrong in them is raised at the end."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def every(self, seconds: float) -> Iterator[int]:
        """Yield at a steady pace until stopped."""
        due, count = time.monotonic(), 0
        while not self.stopped.wait(max(0.0, due - time.monotonic())):
            yield count
            count += 1
            due += seconds

    def stop(self) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join(180)
            assert not thread.is_alive(), "an observer's request never ended"


class Prober(Threads):
    """Requests to each API through the load balancer, by default two a second, each on a new connection."""

    def __init__(self, every: float = 0.5) -> None:
        super().__init__()
        self._every = every
        self.seen = {service: Seen() for service in PROBES}
        self._cloud = Cloud()
        self._headers = self._cloud.headers
        for service in PROBES:
            self.spawn(self._probe, service)

    def _probe(self, service: str) -> None:
        for _ in self.every(self._every):
            self.spawn(self._ask, service)

    def _ask(self, service: str) -> None:
        began = time.monotonic()
        failure = ""
        try:
            # Plain HTTP: loading the machine's certificates for each request would cost more than all of the answer.
            url = self._cloud.url(service, PROBES[service])
            answer = httpx.get(url, headers=self._headers, timeout=60, verify=False)
            if answer.status_code != 200:
                failure = f"HTTP {answer.status_code}: {answer.text[:200]}"
        except httpx.HTTPError as error:
            failure = f"{type(error).__name__}: {error}"
        seen = self.seen[service]
        seen.times.append(time.monotonic() - began)
        if failure:
            seen.failures.append(f"{time.strftime('%H:%M:%S')} {failure}")


class User(Threads):
    """Creates a server every so many seconds, waits until it is ACTIVE, and deletes it."""

    def __init__(self, every: float = 5.0) -> None:
        super().__init__()
        self._every = every
        self.done = 0
        self.trouble: list[str] = []
        self.longest = 0.0
        self._cloud = Cloud("lab-demo")
        self._flavor = self._cloud.call("GET", "nova", "/v2.1/flavors").json()["flavors"][0]["id"]
        self._image = self._cloud.call("GET", "glance", "/v2/images").json()["images"][0]["id"]
        self.spawn(self._loop)

    def _loop(self) -> None:
        for count in self.every(self._every):
            self.spawn(self._one, f"user-{count}")

    def _one(self, name: str) -> None:
        body = {"name": name, "flavorRef": self._flavor, "imageRef": self._image, "networks": "none"}
        began = time.monotonic()
        try:
            made = self._cloud.call("POST", "nova", "/v2.1/servers", {"server": body})
            if made.status_code != 202:
                self.trouble.append(f"{name}: create refused: HTTP {made.status_code}: {made.text[:200]}")
                return
            path = f"/v2.1/servers/{made.json()['server']['id']}"
            status = self._until(path, name, ("ACTIVE", "ERROR"))
            self.longest = max(self.longest, time.monotonic() - began)
            if status != "ACTIVE":
                self.trouble.append(f"{name}: {status}{self._fault(path)}")
            gone = self._cloud.call("DELETE", "nova", path)
            if gone.status_code != 204:
                self.trouble.append(f"{name}: delete refused: HTTP {gone.status_code}: {gone.text[:200]}")
            self._until(path, name, ("gone",))
        except httpx.HTTPError as error:
            self.trouble.append(f"{name}: {type(error).__name__}: {error}")
        self.done += 1

    def _until(self, path: str, name: str, wanted: tuple[str, ...]) -> str:
        status = "?"
        limit = time.monotonic() + 150
        while time.monotonic() < limit:
            answer = self._cloud.call("GET", "nova", path)
            status = "gone" if answer.status_code == 404 else answer.json()["server"]["status"]
            if status in wanted:
                return str(status)
            time.sleep(0.5)
        self.trouble.append(f"{name}: still {status} after 150 s, wanted {' or '.join(wanted)}{self._fault(path)}")
        return str(status)

    def _fault(self, path: str) -> str:
        """What nova itself says of a server that is not well: its state, its last actions, its fault."""
        answer = self._cloud.call("GET", "nova", path)
        if answer.status_code != 200:
            return f" ({path}: HTTP {answer.status_code})"
        server = answer.json()["server"]
        task, fault = server["OS-EXT-STS:task_state"], server.get("fault", {})
        actions = self._cloud.call("GET", "nova", f"{path}/os-instance-actions").json()["instanceActions"]
        done = ", ".join(f"{each['action']} {each['start_time']} {each['request_id']}" for each in reversed(actions))
        return f" ({path.rsplit('/', 1)[-1]}: task {task}; {done}; fault {fault.get('code')} {fault.get('message')})"


class Uploader(Threads):
    """Uploads an image of 8 MiB in small pieces, so slowly that a drain falls into it."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.outcome: list[str] = []
        self._cloud = Cloud()
        self._pause = seconds / 64
        self.spawn(self._upload)

    def _pieces(self) -> Iterator[bytes]:
        for number in range(64):
            time.sleep(self._pause)
            yield bytes([number]) * 131072

    def _upload(self) -> None:
        described = {"name": "slow", "disk_format": "raw", "container_format": "bare"}
        image = self._cloud.call("POST", "glance", "/v2/images", described).json()["id"]
        headers = {"X-Auth-Token": self._cloud.token, "Content-Type": "application/octet-stream"}
        sent = httpx.put(
            self._cloud.url("glance", f"/v2/images/{image}/file"), headers=headers, content=self._pieces(), timeout=120
        )
        now = self._cloud.call("GET", "glance", f"/v2/images/{image}").json()
        self.outcome.append(f"HTTP {sent.status_code}, {now['status']}, {now['size']} bytes")
