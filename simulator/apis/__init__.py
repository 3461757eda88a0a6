"""The APIs: what their instances answer, each from the state of the cloud."""

import asyncio
import uuid
from dataclasses import dataclass, replace
from typing import Any

from model.components import Component
from simulator.apis import compute, identity, image, placement
from simulator.cloud import SimCloud
from simulator.faults import Becomes, Disconnect, Hang, Http, Lacks, Slow
from simulator.host import Host
from simulator.http import Request, Response

_ANSWERS = {
    "keystone": identity.answer,
    "placement": placement.answer,
    "glance": image.answer,
    "nova-api": compute.answer,
}
# The balancer waits so many simulated seconds for an instance, and at least so many real ones.
_PATIENCE, _LEAST_PATIENCE = 120.0, 2.0
# Asked without a token: the versions, health checks, and the request for a token itself.
_OPEN = {"/", "/v3", "/v3/", "/v2.1", "/v2.1/", "/v2", "/v2/", "/healthcheck", "/v3/auth/tokens", "/versions"}


@dataclass(frozen=True)
class Instance:
    """One instance of an API on its host."""

    cloud: SimCloud
    host: Host
    component: Component

    async def answer(self, request: Request) -> Response | None:
        """Answer as the version that runs here does; None breaks the connection."""
        unit = self.component.unit
        subjects = (self.host.name, unit, self.component.service, f"{unit}@{self.host.units[unit].version}")
        fault = self.cloud.faults.take("request", subjects, (f"* {request.path}", request.name))
        match fault:
            case Http():
                return _error(fault.status, fault.message)
            case Hang():
                await asyncio.sleep(max(_PATIENCE / self.cloud.clock.speed, _LEAST_PATIENCE))
                return _error(504, "Gateway Timeout")
            case Disconnect():
                return None
            case Slow():
                await self.cloud.clock.sleep(fault.seconds)
        response = self._work(request)
        if isinstance(fault, Lacks | Becomes) and response is not None:
            response = replace(response, body=_changed(response.body, fault))
        return response

    def _work(self, request: Request) -> Response | None:
        unit = self.host.units[self.component.unit]
        if not self.cloud.serving(self.host, unit.name) or unit.version is None:
            return None
        if request.path not in _OPEN:
            if not self.cloud.database_up:
                return _error(500, "Unexpected API Error. <class 'oslo_db.exception.DBConnectionError'>")
            if request.headers.get("x-auth-token") not in self.cloud.tokens:
                return _error(401, "The request you have made requires authentication.")
            if not self.cloud.schemas.serves(self.component.service, unit.version):
                return _error(
                    500, "Unexpected API Error. <class 'oslo_db.exception.DBError'>: schema of another release"
                )
        response = _ANSWERS[unit.name](self.cloud, replace(request, code=unit.version))
        return Response(
            response.status, response.body, {"x-openstack-request-id": f"req-{uuid.uuid4()}", **response.headers}
        )


def _changed(body: Any, fault: Lacks | Becomes) -> Any:
    """Return an answer with a field gone, or of another value, wherever it is."""
    if isinstance(body, list):
        return [_changed(item, fault) for item in body]
    if not isinstance(body, dict):
        return body
    kept = {key: _changed(item, fault) for key, item in body.items() if key != fault.field}
    return {**kept, fault.field: fault.value} if isinstance(fault, Becomes) and fault.field in body else kept


def _error(status: int, message: str) -> Response:
    return Response(status, {"error": {"code": status, "message": message, "title": "Error"}})
