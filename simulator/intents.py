"""What a command means: recognised by patterns that the adapters' own functions generate, so that they cannot drift.

Each adapter function is called with marks in place of its arguments; the text that comes back, with the marks replaced
by groups, is the pattern of everything that the function ever writes. A script is a sequence of such parts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from activities.balancer.haproxy import HAProxy
from activities.boot import boot_command, reboot_script, release_script
from activities.database import Scratch
from activities.database.mariadb import MariaDB
from activities.hooks import hook_script
from activities.manage import CONFIG_FILES, manage_script
from activities.objects import rewrite_script, versions_script
from activities.packaging.venv import Venv
from activities.rehearsal import override_command, remove_script
from activities.units.systemd import Systemd
from model.actions import HookParams, ManageParams
from model.components import COMPUTE_UNIT, DATABASES
from model.inventory import LoadBalancer, Packaging
from simulator.settings import HOLD_MAP, PACKAGES, REPOSITORY, SOCKET

NUMBER = 987654321
# Where a rehearsal puts the target's code.
BESIDE = f"{PACKAGES}/rehearsal"
# Services whose upgrade check is asked before anything is changed, and by no job.
_CHECKED = ("keystone", "placement", "nova")
_SERVICE = {"service": r"[a-z]+", "version": r"[0-9][0-9A-Za-z.]*"}
# A word of a shell script, in quotes where it needs them.
_QUOTED = r"(?:'[^']*'|[^\s']+)"
_UNITS = {"units": r"[\w.@ -]+?"}


@dataclass(frozen=True)
class Part:
    """A recognised part of a script: what is meant, with which arguments."""

    intent: str
    values: dict[str, str] = field(default_factory=dict)

    @property
    def units(self) -> tuple[str, ...]:
        """The units it is about."""
        return tuple(name.removesuffix(".service") for name in self.values.get("units", "").split())


@dataclass(frozen=True)
class _Rule:
    intent: str
    pattern: re.Pattern[str]
    constants: dict[str, str]

    def match(self, text: str, start: int = 0) -> tuple[Part, int] | None:
        found = self.pattern.match(text, start)
        if found is None:
            return None
        return Part(self.intent, {**self.constants, **found.groupdict()}), found.end()


def mark(name: str) -> str:
    """Return what stands for an argument."""
    return f"X{name}X"


def rule(intent: str, text: str, slots: dict[str, str], **constants: str) -> _Rule:
    """Return the rule for what an adapter has written with marks for these slots (name to pattern)."""
    pattern = re.escape(text)
    for name, group in slots.items():
        sign = str(NUMBER) if name == "number" else mark(name)
        before, found, after = pattern.partition(re.escape(sign))
        if not found:
            raise ValueError(f"{intent}: {name} does not occur in what the adapter writes")
        pattern = f"{before}(?P<{name}>{group}){after.replace(re.escape(sign), f'(?P={name})')}"
    return _Rule(intent, re.compile(pattern, re.DOTALL), constants)


class Scripts:
    """All scripts that can be jobs."""

    def __init__(self) -> None:
        packaging = Venv(Packaging(root=PACKAGES, repository=REPOSITORY))
        release = {"release": r"[\w.]+"}
        service, version = mark("service"), mark("version")
        # The longer ones first: to activate begins with to check.
        self._rules = [
            rule("install", packaging.install(service, version, mark("release")), {**_SERVICE, **release}),
            rule("uninstall", packaging.uninstall(service, version), _SERVICE),
            rule("activate", packaging.activate(service, version), _SERVICE),
            rule("check", packaging.check(service, version), _SERVICE),
            *_unit_rules(Systemd()),
            *_rehearsal_rules(packaging),
            *_manage_rules(packaging),
            *_database_rules(MariaDB()),
            _rewrite_rule(packaging),
            *_boot_rules(),
            _hook_rule(),
        ]

    def parse(self, script: str) -> tuple[Part, ...] | None:
        """Return the parts of a script; None when something in it is not known."""
        parts: list[Part] = []
        place = 0
        while place < len(script):
            found = next((hit for rule in self._rules if (hit := rule.match(script, place))), None)
            if found is None:
                return None
            part, place = found
            parts.append(part)
        return tuple(parts)


def _unit_rules(units: Systemd) -> list[_Rule]:
    verbs: dict[str, Callable[[list[str]], str]] = {"restart": units.restart, "stop": units.stop, "start": units.start}
    rules = [rule(intent, write([mark("units")]), _UNITS) for intent, write in verbs.items()]
    return [*rules, rule("reload", units.reload_caches(mark("units")), _UNITS)]


def _rehearsal_rules(packaging: Venv) -> list[_Rule]:
    """Jobs of a rehearsal: the scratch server, code beside everything, and tools that are led to the copy."""
    beside = Venv(Packaging(root=BESIDE, repository=REPOSITORY))
    service, version, database = mark("service"), mark("version"), MariaDB()
    scratch = Scratch(place=mark("place"), unit=mark("unit"), address=mark("address"))
    places = {"place": r"[^\s']+", "unit": r"[\w-]+", "address": r"[\w.:-]+"}
    start = database.scratch_start(scratch, mark("settings"), NUMBER)
    more = {"settings": _QUOTED, "number": r"\d+"}
    restores = [
        rule(
            "scratch-restore",
            database.scratch_restore(scratch, names, mark("path")),
            {**places, "path": r"[^\s']+"},
            databases=" ".join(names),
        )
        for names in DATABASES.values()
    ]
    release = {"release": r"[\w.]+"}
    return [
        rule("install-beside", beside.install(service, version, mark("release")), {**_SERVICE, **release}),
        *_manage_rules(beside, "manage-copy", f"{BESIDE}/{service}.conf"),
        *_manage_rules(packaging, "manage-copy", f"{BESIDE}/{service}.conf"),
        rule("scratch-start", start, {**places, **more}),
        *restores,
    ]


def _manage_rules(packaging: Venv, intent: str = "manage", config: str = "") -> list[_Rule]:
    """Of each service's tools one rule; of the tools that need a starter one more."""
    rules = []
    slots = {"version": _SERVICE["version"], "tool": r"[\w-]+", "arguments": r"[^\n]+?", "number": r"[\d ]*"}
    for service in CONFIG_FILES:
        for tool in (mark("tool"), f"{service}-status"):
            params = ManageParams(
                service=service, version=mark("version"), command=(tool, mark("arguments")), again=(NUMBER,)
            )
            script = manage_script(packaging, params, config.replace(mark("service"), service))
            given = mark("tool") in script
            if given or "-c " in script:
                used = slots if given else {name: slot for name, slot in slots.items() if name != "tool"}
                rules.append(rule(intent, script, used, service=service, **({} if given else {"tool": tool})))
    # A starter's tool is the interpreter: its rule is the more special one.
    return sorted(rules, key=lambda one: "tool" not in one.constants)


def _database_rules(database: MariaDB) -> list[_Rule]:
    path = {"path": r"[^\s']+"}
    rules = [
        rule("dump", database.dump(names, mark("path")), path, databases=" ".join(names))
        for names in DATABASES.values()
    ]
    rules += [
        rule("dump", database.dump(names, mark("path"), test=False), path, databases=" ".join(names))
        for names in DATABASES.values()
    ]
    folder, plan = {"folder": r"[^\s']+"}, {"plan": _QUOTED}
    restore = database.restore(mark("folder"), {mark("plan"): ()}, mark("upgrade"))
    rules.append(rule("restore", restore, {**folder, **plan, "upgrade": r"[\w.:-]+"}))
    forget = database.forget(mark("base"), mark("baselines"), mark("own"), NUMBER)
    places = dict.fromkeys(("base", "baselines", "own"), r"[^\s']+")
    rules.append(rule("forget", forget, {**places, "number": r"\d+"}))
    script = database.record_versions("host", ("binary",), NUMBER)
    head, _, rest = script.partition("<<'SQL'\n")
    tail = rest.rpartition("\nSQL\n")[2]
    text = f"{head}<<'SQL'\n{mark('sql')}\nSQL\n{tail}"
    return [*rules, rule("sql", text, {"sql": r".*?"})]


def _rewrite_rule(packaging: Venv) -> _Rule:
    # The manifest is an object of JSON; a mark within it stands for all of it.
    script = rewrite_script(packaging, "nova", mark("version"), {mark("manifest"): "1"})
    text = script.replace(f'{{"{mark("manifest")}": "1"}}', mark("manifest"))
    slots = {"version": _SERVICE["version"], "manifest": r"\{[^{}]*\}"}
    return rule("rewrite", text, slots, service="nova")


def _boot_rules() -> list[_Rule]:
    start = Systemd().start((COMPUTE_UNIT,))
    return [
        rule("reboot", reboot_script(mark("record"), mark("seen")), {"record": r"[^\s']+", "seen": r"[\w-]+"}),
        rule("release", release_script().removesuffix(start), {}),
    ]


def _hook_rule() -> _Rule:
    params = HookParams(name="any", host=mark("host"), command=mark("command"), wave=NUMBER)
    script = hook_script(mark("run"), params)
    return rule("hook", script, {"run": _QUOTED, "host": _QUOTED, "number": r"'?\d*'?", "command": r".*"})


class Readings:
    """Scripts that only read, and are no jobs."""

    def __init__(self) -> None:
        packaging = Venv(Packaging(root=PACKAGES, repository=REPOSITORY))
        version = {"version": _SERVICE["version"]}
        database, dumps = MariaDB(), {"folder": r"[^\s']+", "plan": _QUOTED}
        services: dict[str, tuple[str, ...]] = {mark("plan"): ()}
        self._rules = [
            rule("find", database.find(mark("folder"), services), dumps, service="dumps"),
            rule("losses", database.losses(mark("folder"), services), dumps, service="dumps"),
            rule("check", packaging.check(mark("service"), mark("version")), _SERVICE),
            rule("boot", boot_command(mark("record")), {"record": r"[^\s']+"}, service="host"),
            *_scratch_readings(),
            *(one for one in _manage_rules(packaging) if one.constants["service"] in _CHECKED),
            rule("objects", versions_script(packaging, "nova", mark("version")), version, service="nova"),
        ]

    def parse(self, command: str) -> Part | None:
        """Return what is meant; None when it is none of these."""
        return _whole(self._rules, command)


def _scratch_readings() -> list[_Rule]:
    database, scratch = MariaDB(), Scratch(place=mark("place"), unit=mark("unit"), address="any")
    places = {"place": r"[^\s']+", "unit": r"[\w-]+"}
    return [
        rule("scratch-listen", database.scratch_listen(scratch), places, service="copy"),
        rule("scratch-heard", database.scratch_heard(scratch), places, service="copy"),
        rule("scratch-stop", database.scratch_stop(scratch), places, service="copy"),
        rule("scratch-settings", database.settings(), {}, service="copy"),
        rule("scratch-lead", override_command(mark("path")), {"path": r"[^\s']+"}, service="copy"),
        rule("scratch-remove", remove_script(mark("place")), {"place": r"[^\s']+"}, service="copy"),
    ]


class BalancerCommands:
    """What is said to the load balancer's socket."""

    def __init__(self) -> None:
        settings = LoadBalancer(host="any", address="127.0.0.1", socket=SOCKET, hold_map=HOLD_MAP)
        adapter = HAProxy(settings)
        said = adapter.servers().replace("show stat", mark("said"))
        self._rules = [
            rule("say", said, {"said": "[^']+"}),
            rule("holds", adapter.holds(), {}, said="show map"),
            rule("hold", adapter.hold(mark("frontend"), NUMBER), {"frontend": r"[\w-]+", "number": r"\d+"}),
            rule("hold", adapter.hold(mark("frontend"), 0), {"frontend": r"[\w-]+"}, number="0"),
        ]

    def parse(self, command: str) -> Part | None:
        """Return what is meant; None when it is no command for the balancer."""
        return _whole(self._rules, command)


def _whole(rules: list[_Rule], text: str) -> Part | None:
    for one in rules:
        found = one.match(text)
        if found and found[1] == len(text):
            return found[0]
    return None


_NAMES = {
    ("activate", "restart"): "switch",
    ("activate", "start"): "start",
    ("check", "stop"): "stop",
    ("sql",): "record",
    ("release", "start"): "release",
}


def names_of(parts: tuple[Part, ...]) -> tuple[str, ...]:
    """Return the canonical names of a job, from the general to the special one."""
    name = _NAMES.get(tuple(part.intent for part in parts), "+".join(part.intent for part in parts))
    names = [name]
    for part in parts:
        if part.intent == "manage":
            arguments = part.values["arguments"]
            names += [f"manage:{arguments.split()[0]}", f"manage:{arguments}"]
            names += [f"manage:{part.values['tool']} {arguments}"]
        elif part.intent == "dump":
            names.append(f"dump:{part.values['databases'].split()[0]}")
        elif "service" in part.values:
            names.append(f"{name}:{part.values['service']}")
        names += [f"{name}:{unit}" for unit in part.units]
    return tuple(dict.fromkeys(names))
