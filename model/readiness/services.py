"""What stands between users and services: balancer, queue, certificates; and the services' own checks."""

from collections.abc import Collection, Mapping

from model.components import COMPUTE_UNIT, apis
from model.inventory import Inventory, Role
from model.readiness.findings import error, warning
from model.words import duration, listed
from model.work import Finding

# Certificates that end this soon would end in the middle of the run, or before the next monthly one.
CERTIFICATE_WARNING = 30 * 86400.0
CERTIFICATE_ERROR = 2 * 86400.0


def judge_backends(
    inventory: Inventory, servers: Collection[tuple[str, str, str]], *, up: Collection[tuple[str, str]]
) -> tuple[Finding, ...]:
    """Return a finding for each instance of an API that the balancer lacks, or does not send requests to.

    Args:
        inventory: the cloud.
        servers: all instances: backend, name, the balancer's word for its state.
        up: backend and name of those that get requests.
    """
    known = {(backend, name): status for backend, name, status in servers}
    found = []
    for component in apis(inventory):
        for host in inventory.with_role(component.role):
            place = (component.backend or "", host)
            if place in up:
                continue
            where = f"{component.unit} on {host}"
            state = known.get(place)
            if state is None:
                problem, remedy = "is not behind the load balancer", f"add server {host} to backend {place[0]}"
            elif state.split(" ")[0] in {"MAINT", "DRAIN"}:
                problem = f"was taken out of the load balancer ({state})"
                ready = (
                    f"echo 'set server {place[0]}/{host} state ready' | socat stdio {inventory.load_balancer.socket}"
                )
                remedy = f"put it back on {inventory.load_balancer.host}: `{ready}`"
            else:
                problem = f"is {state} by the load balancer"
                remedy = f"see its log on the host: `journalctl -u {component.unit}`"
            found.append(error("balancer", where, problem, remedy))
    return tuple(found)


def judge_queues(inventory: Inventory, consumers: Mapping[str, int], alarms: Collection[str]) -> tuple[Finding, ...]:
    """Return what is wrong with the message queue: alarms, and services of nova that nobody listens for.

    ``consumers`` are the numbers of consumers by queue.
    """
    hosts = ", ".join(inventory.with_role(Role.MESSAGING)) or "messaging"
    found = [
        error(
            "queues",
            hosts,
            f"RabbitMQ: {alarm}",
            "`rabbitmq-diagnostics check_alarms`; mend it: no message gets through",
        )
        for alarm in alarms
    ]
    wanted = {"conductor": "nova-conductor", "scheduler": "nova-scheduler"}
    wanted |= {f"compute.{host}": f"{COMPUTE_UNIT} on {host}" for host in inventory.with_role(Role.COMPUTE)}
    if "nova" in inventory.services and consumers:
        deaf = [who for queue, who in wanted.items() if not consumers.get(queue)]
        if deaf:
            found.append(
                error(
                    "queues",
                    listed(deaf),
                    "nobody listens on its message queue",
                    "restart it, and see its log for AMQP errors: `rabbitmqctl list_queues name consumers`",
                )
            )
    return tuple(found)


def judge_upgrade_check(service: str, version: str, status: int, output: str) -> tuple[Finding, ...]:
    """Return the warnings and failures of ``<service>-status upgrade check`` run with the code of a version."""
    subject = f"{service}-status"
    if status not in {0, 1, 2} or "Result:" not in output:
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "it said nothing")
        problem = f"`{service}-status upgrade check` of {version} broke off with status {status}: {last[:200]}"
        return (warning("upgrade-check", subject, problem, "run it on a control host, and mend what it names"),)
    found, name, result, details = [], "", "", list[str]()

    def tell() -> None:
        if result in {"Failure", "Warning"}:
            make = error if result == "Failure" else warning
            text = " ".join(details).strip() or "no details"
            found.append(
                make(
                    "upgrade-check", subject, f"{name}: {text}", f"mend it; `{service}-status upgrade check` tells more"
                )
            )

    for line in output.splitlines():
        text = line.strip().strip("|").strip()
        key, _, value = text.partition(": ")
        if key == "Check":
            tell()
            name, result, details = value.strip(), "", []
        elif key == "Result":
            result = value.strip()
        elif key == "Details":
            details = [value.strip()]
        elif details and text and not text.startswith("+"):
            details.append(text)
        elif text.startswith("+-") or line.startswith("+"):
            tell()
            name, result, details = "", "", []
    tell()
    return tuple(found)


def judge_certificate(address: str, seconds: float) -> tuple[Finding, ...]:
    """Return a finding if the certificate at an address ends within so many seconds, or has ended."""
    if seconds > CERTIFICATE_WARNING:
        return ()
    make = error if seconds < CERTIFICATE_ERROR else warning
    when = f"ends in {duration(seconds)}" if seconds > 0 else f"ended {duration(-seconds)} ago"
    return (make("certificate", address, f"its certificate {when}", "renew it, and reload the load balancer"),)
