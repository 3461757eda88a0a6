"""Alerts as a gate: what a specification says of them, and which of those that a monitoring system tells hold a run.

The forms are those of Prometheus' HTTP API (``/api/v1/alerts``, ``/api/v1/query``) and of Alertmanager's API v2
(``/api/v2/alerts``), as their documentation has them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from model.base import Record
from model.durations import Seconds
from model.words import clock, duration, listed

_REGEX = "=~"
# Labels that say where an alert is, the first one that it has.
_PLACES = ("instance", "host", "hostname", "node", "nodename", "service", "job")


def _as_matcher(value: object) -> object:
    """Label values are texts; a regular expression must be one."""
    if not isinstance(value, Mapping) or not value:
        raise ValueError("write a mapping of labels to values, such as {alertname: Watchdog}")
    for label, wanted in value.items():
        if not isinstance(wanted, str):
            raise ValueError(f'{label}: must be a text, is {wanted!r}; write it in quotes: {label}: "{wanted}"')  # noqa: TRY004
        try:
            re.compile(wanted.removeprefix(_REGEX) if wanted.startswith(_REGEX) else "")
        except re.error as error:
            raise ValueError(f"{label}: {wanted!r} is no regular expression: {error}") from None
    return value


def _as_url(value: object) -> object:
    if not isinstance(value, str) or re.match(r"^https?://[^\s/]+", value) is None:
        raise ValueError(f"{value!r} is no URL; write it as http://prometheus.example.org:9090")
    if "@" in value.split("//", 1)[1].split("/", 1)[0]:
        raise ValueError("a URL holds no password here; name where it is: user, and password_env or password_file")
    return value.rstrip("/")


Matcher = Annotated[dict[str, str], BeforeValidator(_as_matcher)]


class AlertGate(Record):
    """Where alerts are asked for, and which of them do not matter.

    Attributes:
        url: of Prometheus or Alertmanager, without ``/api``.
        kind: which of the two it is.
        query: for Prometheus, an expression: each sample of its result is an alert; by default its own firing alerts.
        ignore: label matchers: an alert that has all labels of one of them does not hold the run. A value that begins
            with ``=~`` is a regular expression for the whole value.
        for_: how long no alert may fire after a wave or a phase, without a break (``for`` in the file).
        timeout: how long the run waits for alerts to end; then the step fails.
        every: the time between two questions.
        token_env, token_file: where the worker finds a bearer token: an environment variable, or a file.
        user, password_env, password_file: the same for a user with a password.
        ca_file: certificates to trust, at the worker.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    url: Annotated[str, BeforeValidator(_as_url)]
    kind: Literal["prometheus", "alertmanager"] = "prometheus"
    query: str | None = None
    ignore: tuple[Matcher, ...] = ()
    for_: Seconds = Field(default=60.0, alias="for")
    timeout: Seconds = 1800.0
    every: Seconds = Field(default=15.0, gt=0)
    token_env: str | None = None
    token_file: str | None = None
    user: str | None = None
    password_env: str | None = None
    password_file: str | None = None
    ca_file: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.query is not None and self.kind != "prometheus":
            raise ValueError(
                "gates.alerts.query: only Prometheus answers a query; leave it out, or use kind: prometheus"
            )
        if self.token_env and self.token_file:
            raise ValueError("gates.alerts.token_file: there is token_env already; keep one of them")
        password = self.password_env or self.password_file
        if bool(self.user) != bool(password):
            raise ValueError("gates.alerts.user: a user and password_env or password_file belong together")
        return self


class Gates(Record):
    """Conditions that must hold for the run to go on, beside the approvals."""

    alerts: AlertGate | None = None


class AlertParams(Record):
    """``alerts``: no alert fires for so many seconds. ``gate``: the name by which an operator opens it all the same."""

    gate: str
    seconds: float
    alerts: AlertGate


class Alert(Record):
    """An alert that fires: its labels, and since when, as the monitoring system writes it."""

    labels: dict[str, str]
    since: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.labels.get("alertname", "an alert without a name")

    @property
    def text(self) -> str:
        """Its name, where it is, and since when."""
        place = next((self.labels[label] for label in _PLACES if label in self.labels), "")
        return (
            f"{self.name}{f' on {place}' if place else ''}{f' since {clock(self.since)}' if clock(self.since) else ''}"
        )


class AlertsAsked(Record):
    """The input of ``watch_alerts``: answer when something else is found than what is known.

    Attributes:
        seconds: for how long there must be none.
        known: the alerts that were found before, by ``key_of``; ``problem``: what kept the question from its answer.
    """

    gate: AlertGate
    seconds: float
    known: tuple[str, ...] = ()
    problem: str = ""


class AlertsSeen(Record):
    """What was found: that there was no alert for long enough, or which ones fire, or why it is not known."""

    quiet: bool = False
    firing: tuple[Alert, ...] = ()
    problem: str = ""

    @property
    def text(self) -> str:
        """What holds the run."""
        if self.problem:
            return f"alerts are not known: {self.problem}"
        named = listed(sorted(alert.text for alert in self.firing))
        return f"alerts to end: {named}" if named else ""


def key_of(alert: Alert) -> str:
    """Return what tells alerts apart."""
    return ",".join(f"{label}={value}" for label, value in sorted(alert.labels.items()))


def is_ignored(alert: Alert, ignore: Sequence[Mapping[str, str]]) -> bool:
    """Whether an alert has all labels of one of the matchers."""
    return any(
        all(_matches(alert.labels.get(label, ""), wanted) for label, wanted in matcher.items()) for matcher in ignore
    )


def _matches(value: str, wanted: str) -> bool:
    if wanted.startswith(_REGEX):
        return re.fullmatch(wanted.removeprefix(_REGEX), value) is not None
    return value == wanted


def read_alerts(gate: AlertGate, body: Any) -> tuple[Alert, ...]:
    """Return the alerts that fire and are not ignored, of what was answered.

    Raises:
        ValueError: for an answer of another shape.
    """
    try:
        found = _of_alertmanager(body) if gate.kind == "alertmanager" else _of_prometheus(body, query=bool(gate.query))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the answer is not that of {gate.kind.title()}'s API ({type(error).__name__})") from None
    return tuple(alert for alert in found if not is_ignored(alert, gate.ignore))


def _of_alertmanager(body: Any) -> list[Alert]:
    return [
        Alert(labels=dict(one["labels"]), since=str(one.get("startsAt", "")))
        for one in body
        if one["status"]["state"] == "active"
    ]


def _of_prometheus(body: Any, *, query: bool) -> list[Alert]:
    if body["status"] != "success":
        raise ValueError(f"Prometheus answered: {body.get('error', body['status'])}")
    if query:
        return [Alert(labels=dict(sample["metric"])) for sample in body["data"]["result"]]
    return [
        Alert(labels=dict(one["labels"]), since=str(one.get("activeAt", "")))
        for one in body["data"]["alerts"]
        if one["state"] == "firing"
    ]


def quiet_text(seconds: float) -> str:
    """Say what has been seen when the gate opens."""
    return f"no alert for {duration(seconds)}" if seconds else "no alert fires"


def alert_params(gate: AlertGate, name: str, *, at_once: bool) -> AlertParams:
    """Return what a step of a plan says: no alert for the time that the specification wants, or at this moment."""
    return AlertParams(gate=f"alerts/{name}", seconds=0.0 if at_once else gate.for_, alerts=gate)


def alert_title(params: AlertParams) -> str:
    """Return what a person reads of such a step."""
    for_ = f" for {duration(params.seconds)}" if params.seconds else ""
    return f"see that no alert fires{for_}"
