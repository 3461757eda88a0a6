"""Reading ``upgrade.yaml`` or ``reboot.yaml``, and ``cloud.yaml``, into the request that a workflow takes.

All problems of both files are found before any is reported, each with its file, line and key, and what would be right.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cli.documents import BadInputError, Document, Problem
from cli.explain import explain, unknown
from model.inventory import KNOWN_SERVICES, Inventory
from model.reboot_spec import RebootRequest, RebootSpec
from model.releases import RELEASES, UnsupportedStepError, check_step, check_versions
from model.rolling import Rolling, unknown_hosts
from model.spec import UpgradeRequest, UpgradeSpec
from model.windows import BadWindowsError, Windows, check_windows

Model = TypeVar("Model", bound=BaseModel)

_FILE_KEYS = (("ssh", "key"), ("ssh", "known_hosts"))
_CLOUDS_YAML_PLACES = ("clouds.yaml", "~/.config/openstack/clouds.yaml", "/etc/openstack/clouds.yaml")


def load_request(path: Path, *, by: str = "operator") -> UpgradeRequest:
    """Return the request that ``upgrade.yaml`` at this path asks for.

    Raises:
        BadInputError: with every problem in it, in the file of the cloud that it names, and in the files those name.
    """
    problems: list[Problem] = []
    document = _open_spec(path, problems)
    document.keep_text("to")
    cloud_document, inventory = _read_cloud(document, problems)
    spec = _validate(UpgradeSpec, _content(document), document, problems)
    problems += _window_problems(document, spec.windows if spec else None)
    if cloud_document:
        problems += _step_problems(document, cloud_document)
    if spec is not None and inventory is not None:
        problems += _host_problems(document, spec, inventory)
    if problems or spec is None or inventory is None:
        raise BadInputError(problems)
    return UpgradeRequest(spec=spec, inventory=inventory, by=by)


def load_reboot(path: Path, *, by: str = "operator") -> RebootRequest:
    """Return the request that ``reboot.yaml`` at this path asks for.

    Raises:
        BadInputError: as ``load_request``.
    """
    problems: list[Problem] = []
    document = _open_spec(path, problems)
    _, inventory = _read_cloud(document, problems)
    spec = _validate(RebootSpec, _content(document), document, problems)
    problems += _window_problems(document, spec.windows if spec else None)
    if spec is not None and inventory is not None:
        problems += _host_problems(document, spec, inventory, spec.named)
    if problems or spec is None or inventory is None:
        raise BadInputError(problems)
    return RebootRequest(spec=spec, inventory=inventory, by=by)


def load_any(path: Path, *, by: str = "operator") -> UpgradeRequest | RebootRequest:
    """Return the request of an ``upgrade.yaml``, which names a release (``to``), or of a ``reboot.yaml``.

    Raises:
        BadInputError: as ``load_request``.
    """
    known = Document(path, str(path)).data
    return load_reboot(path, by=by) if "reboot" in known and "to" not in known else load_request(path, by=by)


def _host_problems(
    document: Document, spec: Rolling, inventory: Inventory, named: dict[str, str] | None = None
) -> list[Problem]:
    found = unknown_hosts(spec, inventory, named)
    return [document.problem(tuple(key.split(".")), f"{key}: {text}") for key, text in found.items()]


def _open_spec(path: Path, problems: list[Problem]) -> Document:
    document = _open(path, str(path), problems)
    if document is None:
        raise BadInputError(problems)
    return document


def _content(document: Document) -> dict[str, Any]:
    """What is left of a specification when the file of the cloud has been opened."""
    return {key: value for key, value in document.data.items() if key != "cloud"}


def _read_cloud(document: Document, problems: list[Problem]) -> tuple[Document | None, Inventory | None]:
    cloud_document = _open_cloud(document, problems)
    return cloud_document, _read_inventory(cloud_document, problems) if cloud_document else None


def load_inventory(path: Path) -> Inventory:
    """Return the cloud that ``cloud.yaml`` at this path describes.

    Raises:
        BadInputError: with every problem in it and in the files it names.
    """
    problems: list[Problem] = []
    document = _open(path, str(path), problems)
    inventory = _read_inventory(document, problems) if document else None
    if problems or inventory is None:
        raise BadInputError(problems)
    return inventory


def _open(path: Path, label: str, problems: list[Problem]) -> Document | None:
    try:
        document = Document(path, label)
    except BadInputError as error:
        problems += error.problems
        return None
    problems += document.problems
    return document


def _open_cloud(document: Document, problems: list[Problem]) -> Document | None:
    name = document.value("cloud")
    if not isinstance(name, str):
        text = "cloud: this key is missing; the path of the file that describes the cloud, relative to this file"
        problems.append(document.problem(("cloud",) if "cloud" in document.data else (), text))
        return None
    path = document.path.parent / Path(name).expanduser()
    if not path.is_file():
        problems.append(document.problem(("cloud",), f"cloud: no such file: {path}; the path is relative to this file"))
        return None
    return _open(path, str(path), problems)


def _validate(model: type[Model], content: dict[str, Any], document: Document, problems: list[Problem]) -> Model | None:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems += explain(error, document, model)
        return None


def _read_inventory(document: Document, problems: list[Problem]) -> Inventory | None:
    document.keep_text("release")
    before = len(problems)
    problems += _unknown_hosts(document)
    if len(problems) == before:
        inventory = _validate(Inventory, document.data, document, problems)
    else:
        # The record's own check of the same would say it again, so it sees hosts that exist.
        inventory = _validate(Inventory, _with_known_hosts(document), document, problems)
    problems += _missing_files(document)
    problems += _clouds_yaml_problems(document)
    return _absolute(inventory, document.path.parent) if inventory else None


def _unknown_hosts(document: Document) -> list[Problem]:
    hosts = document.value("hosts")
    if not isinstance(hosts, dict):
        return []
    known = [str(name) for name in hosts]
    return [
        document.problem((section, "host"), f"{section}.host: {_unknown_host(name, known)}")
        for section in ("database", "load_balancer")
        if isinstance(name := document.value(section, "host"), str) and name not in known
    ]


def _unknown_host(name: str, known: list[str]) -> str:
    return unknown("host", name, known).replace("unknown host", f"unknown host {name!r}", 1)


def _with_known_hosts(document: Document) -> dict[str, Any]:
    known = next(iter(document.data["hosts"]), "none")
    content = dict(document.data)
    for section in ("database", "load_balancer"):
        if isinstance(content.get(section), dict):
            content[section] = {**content[section], "host": known}
    return content


def _missing_files(document: Document) -> list[Problem]:
    problems = []
    for section, key in _FILE_KEYS:
        value = document.value(section, key)
        if isinstance(value, str) and not (path := _beside(document.path.parent, value)).is_file():
            text = f"{section}.{key}: no such file: {path}; a relative path starts at this file"
            problems.append(document.problem((section, key), text))
    return problems


def _clouds_yaml_problems(document: Document) -> list[Problem]:
    entry, value = document.value("openstack", "cloud"), document.value("openstack", "clouds_yaml")
    if not isinstance(entry, str) or not isinstance(value, str | None):
        return []
    path = find_clouds_yaml(document.path.parent, value)
    if path is None:
        where = _beside(document.path.parent, value) if value else ", ".join(_CLOUDS_YAML_PLACES)
        key = "clouds_yaml" if value else "cloud"
        return [document.problem(("openstack", key), f"openstack.{key}: no such file: {where}")]
    try:
        entries = Document(path).value("clouds")
    except BadInputError as error:
        return error.problems
    if not isinstance(entries, dict):
        return [Problem(str(path), 1, "clouds: this key is missing; clouds.yaml has its entries below it")]
    if entry in entries:
        return []
    text = f"openstack.cloud: {path} has no entry {entry!r}; its entries: {', '.join(entries) or 'none'}"
    return [document.problem(("openstack", "cloud"), text)]


def find_clouds_yaml(base: Path, named: str | None) -> Path | None:
    """Return the file with the credentials: the named one, or the first in the places where openstacksdk looks."""
    standard = os.environ.get("OS_CLIENT_CONFIG_FILE")
    places = [named] if named else [standard, *_CLOUDS_YAML_PLACES] if standard else list(_CLOUDS_YAML_PLACES)
    start = base if named else Path.cwd()
    return next((path for place in places if (path := _beside(start, place)).is_file()), None)


def _absolute(inventory: Inventory, base: Path) -> Inventory:
    access, ssh = inventory.openstack, inventory.ssh
    clouds_yaml = find_clouds_yaml(base, access.clouds_yaml)
    update = {"key": str(_beside(base, ssh.key)), "known_hosts": str(_beside(base, ssh.known_hosts))}
    return inventory.model_copy(
        update={
            "openstack": access.model_copy(update={"clouds_yaml": str(clouds_yaml) if clouds_yaml else None}),
            "ssh": ssh.model_copy(update=update),
        }
    )


def _beside(base: Path, name: str) -> Path:
    return Path(os.path.abspath(base / Path(name).expanduser()))  # noqa: PTH100 - resolve() would follow links


def _window_problems(document: Document, windows: Windows | None) -> list[Problem]:
    if windows is None:
        return []
    try:
        check_windows(windows, datetime.now(tz=UTC))
    except BadWindowsError as error:
        place = ("windows", *error.key)
        return [document.problem(place, f"{'.'.join(place)}: {error}")]
    return []


def _step_problems(spec: Document, cloud: Document) -> list[Problem]:
    source, target = cloud.value("release"), spec.value("to")
    if source not in RELEASES or target not in RELEASES:
        return []
    versions = spec.value("versions")
    given = {str(name): str(one) for name, one in versions.items()} if isinstance(versions, dict) else {}
    try:
        check_step(source, target, point_releases=bool(given))
    except UnsupportedStepError as error:
        return [spec.problem(("to",), f"to: {error}")]
    problems = []
    for name, version in given.items():
        try:
            check_versions(target, {name: version} if name in KNOWN_SERVICES else {})
        except UnsupportedStepError as error:
            problems.append(spec.problem(("versions", name), f"versions.{name}: {error}"))
    known = cloud.value("services") or KNOWN_SERVICES
    problems += [
        spec.problem(("versions", name), f"versions.{name}: the cloud has no {name} (its services: {', '.join(known)})")
        for name in given
        if name in KNOWN_SERVICES and name not in known
    ]
    return problems
