"""Asking Prometheus or Alertmanager which alerts fire; credentials are read here, at the worker, each time."""

import asyncio
import os
import ssl
import time
from pathlib import Path

import httpx
from temporalio import activity

from activities.context import errors_mapped, heartbeats, progress
from activities.errors import Refused
from model.alerts import AlertGate, AlertsAsked, AlertsSeen, key_of, read_alerts

_ANSWER_TIME = 10.0


class AlertActivities:
    """Watches what a monitoring system says; what it means is decided in ``model.alerts``."""

    @activity.defn(name="watch_alerts")
    async def watch_alerts(self, asked: AlertsAsked) -> AlertsSeen:
        """Ask until there was no alert for long enough, or until something else is found than what is known.

        Raises:
            Refused: when the credentials are missing or wrong, or there is no such address.
        """
        async with errors_mapped(), heartbeats("ask for alerts"), _client(asked.gate) as client:
            return await _watch(client, asked)


async def _watch(client: httpx.AsyncClient, asked: AlertsAsked) -> AlertsSeen:
    quiet_since: float | None = None
    while True:
        seen = await _ask(client, asked.gate)
        found = tuple(sorted(key_of(alert) for alert in seen.firing))
        if (found, seen.problem) != (asked.known, asked.problem):
            return seen
        if found or seen.problem:
            quiet_since = None
        else:
            quiet_since = time.monotonic() if quiet_since is None else quiet_since
            if time.monotonic() - quiet_since >= asked.seconds:
                return AlertsSeen(quiet=True)
        progress(seen.text or "no alert")
        await asyncio.sleep(min(asked.gate.every, max(0.05, asked.seconds)) if not found else asked.gate.every)


async def _ask(client: httpx.AsyncClient, gate: AlertGate) -> AlertsSeen:
    path, params = _question(gate)
    try:
        answer = await client.get(path, params=params)
    except httpx.TransportError as error:
        return AlertsSeen(problem=f"{gate.url} does not answer ({type(error).__name__})")
    if answer.status_code in {401, 403}:
        raise Refused(
            f"{answer.request.method} {gate.url}{path} answered {answer.status_code}",
            remedy="see gates.alerts in the specification: token_env, token_file, or user with its password",
        )
    if answer.status_code in {400, 404, 422}:
        raise Refused(
            f"{answer.request.method} {gate.url}{path} answered {answer.status_code}: {answer.text[:200]}",
            remedy=f"see gates.alerts in the specification: its url, its query, and whether it is a {gate.kind}",
        )
    if answer.status_code >= 400:
        return AlertsSeen(problem=f"{gate.url}{path} answered {answer.status_code}")
    try:
        return AlertsSeen(firing=read_alerts(gate, answer.json()))
    except ValueError as error:
        return AlertsSeen(problem=f"{gate.url}{path}: {error}")


def _question(gate: AlertGate) -> tuple[str, dict[str, str]]:
    if gate.kind == "alertmanager":
        # What is silenced or inhibited there is nobody's concern here either.
        return "/api/v2/alerts", {"active": "true", "silenced": "false", "inhibited": "false"}
    if gate.query is not None:
        return "/api/v1/query", {"query": gate.query}
    return "/api/v1/alerts", {}


def _client(gate: AlertGate) -> httpx.AsyncClient:
    token = _secret("token", gate.token_env, gate.token_file)
    password = _secret("password", gate.password_env, gate.password_file)
    verify: bool | ssl.SSLContext = True
    if gate.ca_file is not None:
        try:
            verify = ssl.create_default_context(cafile=gate.ca_file)
        except OSError as error:
            raise Refused(f"gates.alerts.ca_file: {gate.ca_file}: {error.strerror or error}") from None
    return httpx.AsyncClient(
        base_url=gate.url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        auth=httpx.BasicAuth(gate.user, password) if gate.user and password else None,
        verify=verify,
        timeout=_ANSWER_TIME,
    )


def _secret(what: str, variable: str | None, path: str | None) -> str:
    """Read a secret where the specification says that it is; it goes into no message."""
    if variable is not None:
        if variable not in os.environ:
            raise Refused(
                f"gates.alerts: the worker has no environment variable {variable} with the {what}",
                remedy="set it where the worker is started, then retry",
            )
        return os.environ[variable].strip()
    if path is None:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Refused(
            f"gates.alerts: the worker cannot read {path} ({error.strerror or error})",
            remedy=f"it is to hold the {what}",
        ) from None
