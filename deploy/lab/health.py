"""Is the cloud well? Conditions that `up` and `restore` wait for, and `status` shows."""

from deploy.lab.api import Api, balancer, not_up, parse_stat
from deploy.lab.command import in_parallel, wait
from deploy.lab.settings import Host, LabSpec, Paths, Secrets
from deploy.lab.templates import PORTS

_HINT = "see `stackroll lab status` and `stackroll lab ssh HOST journalctl -b -p warning`; then run it again"


def wait_apis(spec: LabSpec, secrets: Secrets, timeout: float = 180) -> None:
    """Wait until every instance of every API answers rounds of authenticated requests, Keystone first."""
    for units in (("keystone",), tuple(unit for unit in PORTS if unit != "keystone")):
        pairs = [(unit, host) for unit in units for host in spec.controls]

        in_parallel(lambda pair: wait_api(secrets, *pair, timeout=timeout), pairs)


def wait_api(secrets: Secrets, unit: str, host: Host, timeout: float = 180) -> None:
    """Wait until one instance of an API answers rounds of authenticated requests."""
    # The token comes from the Keystone beside it, which has been waited for; the load balancer may lag behind.
    api = Api(secrets.admin, host.address)
    wait(f"{unit} on {host.name}", lambda: api.warm(unit, host.address), timeout=timeout, remedy=_HINT)


def wait_balancer(paths: Paths, spec: LabSpec, timeout: float = 60) -> None:
    """Wait until the load balancer sends requests to every instance."""
    expected = [(unit, host.name) for unit in PORTS for host in spec.controls]

    def probe() -> str:
        down = not_up(parse_stat(balancer(paths, spec, "show stat")), expected)
        return f"not UP: {', '.join(down)}" if down else ""

    wait("the load balancer to take every API instance", probe, timeout=timeout, interval=0.5, remedy=_HINT)


def expected_services(spec: LabSpec) -> set[tuple[str, str]]:
    """Return the (binary, host) pairs that nova must know."""
    control = {(binary, host.name) for binary in ("nova-conductor", "nova-scheduler") for host in spec.controls}
    return control | {("nova-compute", host.name) for host in spec.computes}


def wait_nova(spec: LabSpec, secrets: Secrets, since: str = "", timeout: float = 120) -> None:
    """Wait until nova counts all its services as up.

    Args:
        spec: The lab.
        secrets: Its passwords.
        since: A report older than this UTC time does not count: it may be one from before a restore.
        timeout: Seconds to wait.
    """
    api = Api(secrets.admin)

    def probe() -> str:
        up = {
            (service["binary"], service["host"])
            for service in api.compute_services()
            if service["state"] == "up" and str(service["updated_at"]) >= since
        }
        missing = sorted(expected_services(spec) - up)
        return f"not up: {', '.join(f'{binary} on {host}' for binary, host in missing)}" if missing else ""

    wait("nova's services", probe, timeout=timeout, interval=0.5, remedy=_HINT)


def wait_guests(secrets: Secrets, timeout: float = 120) -> None:
    """Wait until no guest is in transition and those that ran are running."""
    api = Api(secrets.admin)
    wait("guests", lambda: unsettled(api), timeout=timeout, interval=0.5, remedy=_HINT)


def unsettled(api: Api) -> str:
    """Say which guests are not what they should be: active and running, or shut off and not."""
    wrong = []
    for guest in api.servers():
        running = guest["OS-EXT-STS:power_state"] == 1
        task = guest["OS-EXT-STS:task_state"]
        if task or (guest["status"] == "ACTIVE") != running or guest["status"] in {"BUILD", "ERROR"}:
            wrong.append(f"{guest['name']} is {guest['status']}, task {task}, power {running}")
    return "; ".join(wrong)
