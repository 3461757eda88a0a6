"""Render the templates: configuration of the hosts, and the files that travel with a release."""

from functools import cache
from pathlib import Path

import jinja2

from deploy.lab import libvirt
from deploy.lab.settings import CONTROL_UNITS, GATEWAY, REGION, VIP, Host, LabSpec, Secrets

_HERE = Path(__file__).parent
_HOLD = _HERE.parent / "haproxy" / "hold.lua"
PORTS = {"keystone": 5000, "placement": 8778, "glance": 9292, "nova-api": 8774}
# Path that answers without a token, for the load balancer's health checks.
HEALTH = {"keystone": "/v3", "placement": "/", "glance": "/healthcheck", "nova-api": "/"}
_MODULES = {
    "keystone": "keystone.wsgi.api",
    "placement": "placement.wsgi.api",
    "glance": "glance.wsgi.api",
    "nova-api": "nova.wsgi.osapi_compute",
}
_API_OF = {"keystone": "keystone", "placement": "placement", "glance": "glance", "nova": "nova-api"}
# nova-api of these is patched by eventlet: with native threads beside it, replies to its RPC calls get lost and every
# call waits for its timeout. Later releases use native threads themselves.
_EVENTLET_RELEASES = {"2025.1", "2025.2"}


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - INI files and units, no HTML
    )


def render(name: str, **values: object) -> str:
    """Render a template with the lab's constants and the values given."""
    return _environment().get_template(name).render(vip=VIP, gateway=GATEWAY, region=REGION, **values)


def service_of(unit: str) -> str:
    """Return the OpenStack service to which a unit belongs."""
    return unit.split("-", maxsplit=1)[0]


def uwsgi_shape(release: str, unit: str) -> tuple[int, int]:
    """Return how many processes and threads an API runs with."""
    return (3, 1) if unit == "nova-api" and release in _EVENTLET_RELEASES else (2, 4)


def release_files(release: str, service: str) -> dict[str, str]:
    """Return the files laid over a service's virtual environment, which change with the release, by relative path."""
    unit = _API_OF[service]
    processes, threads = uwsgi_shape(release, unit)
    files = {
        f"etc/{service}/{unit}-uwsgi.ini": render(
            "uwsgi.ini.j2", unit=unit, port=PORTS[unit], module=_MODULES[unit], processes=processes, threads=threads
        )
    }
    if service == "nova":
        files["etc/nova/release.conf"] = render("nova-release.conf.j2", release=release)
        driver = (_HERE / "templates" / "persistfake.py.in").read_text()
        files["lib/python3.11/site-packages/nova/virt/persistfake.py"] = driver
    return files


def unit_file(unit: str, hypervisor: str = "") -> str:
    """Return the systemd unit of an OpenStack service; on a compute host it depends on the hypervisor."""
    if unit in PORTS:
        return render("api.service.j2", unit=unit, service=service_of(unit))
    return render("agent.service.j2", unit=unit, python_path=libvirt.PYTHON_PATH if hypervisor == "qemu" else "")


def host_files(spec: LabSpec, host: Host, secrets: Secrets) -> dict[str, str]:
    """Return the configuration of a host by absolute path."""
    files = {
        "/etc/hostname": f"{host.name}\n",
        "/etc/hosts": "127.0.0.1 localhost\n" + "".join(f"{h.address} {h.name}\n" for h in spec.hosts),
    }
    values = {"spec": spec, "host": host, "secrets": secrets, "ports": PORTS, "health": HEALTH}
    if host.kind == "infra":
        return files | _infra_files(values)
    files |= {f"/etc/systemd/system/{unit}.service": unit_file(unit, host.hypervisor) for unit in host.units}
    needed = "keystone" if host.kind == "control" else "nova-api"
    url = f"http://{VIP}:{PORTS[needed]}{HEALTH[needed]}"
    files["/etc/systemd/system/lab-wait.service"] = render("lab-wait.service.j2", url=url)
    names = ("keystone", "placement", "glance-api") if host.kind == "control" else ()
    for name in names:
        files[f"/etc/{name.removesuffix('-api')}/{name}.conf"] = render(f"{name}.conf.j2", **values)
    files["/etc/nova/nova.conf"] = render("nova.conf.j2", instances=libvirt.INSTANCES, **values)
    return files


def _infra_files(values: dict[str, object]) -> dict[str, str]:
    hold = "".join(f"{unit} 0\n" for unit in CONTROL_UNITS if unit in PORTS)
    return {
        "/etc/mysql/mariadb.conf.d/99-lab.cnf": render("my.cnf.j2", **values),
        "/etc/rabbitmq/rabbitmq.conf": render("rabbitmq.conf.j2", **values),
        "/etc/rabbitmq/rabbitmq-env.conf": render("rabbitmq-env.conf.j2", **values),
        "/etc/memcached.conf": render("memcached.conf.j2", **values),
        "/etc/haproxy/haproxy.cfg": render("haproxy.cfg.j2", **values),
        "/etc/haproxy/hold.lua": _HOLD.read_text(),
        "/etc/haproxy/hold.map": hold,
    }
