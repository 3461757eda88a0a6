"""placement: resource providers with inventories, usages and allocations."""

from typing import Any

from simulator.cloud import SimCloud
from simulator.http import Request, Response

_GENERATION = {"resource_provider_generation": 1}


def answer(cloud: SimCloud, request: Request) -> Response:
    """Answer a request to placement."""
    parts = [part for part in request.path.split("/") if part]
    names = {provider: host for host, provider in cloud.nova.providers.items()}
    match (request.method, parts):
        case ("GET", []):
            version = {"id": "v1.0", "min_version": "1.0", "max_version": "1.39", "status": "CURRENT", "links": []}
            return Response(200, {"versions": [version]})
        case ("GET", ["resource_providers"]):
            rows = [_provider(provider, host) for provider, host in names.items()]
            wanted = request.query.get("name")
            return Response(200, {"resource_providers": [r for r in rows if wanted in {None, r["name"]}]})
        case ("GET", ["resource_providers", provider, *what]) if provider in names:
            return _about(cloud, provider, names[provider], what)
        case ("GET", ["allocations", consumer]):
            held = {
                provider: {"resources": consumers[consumer], "generation": 1}
                for provider, consumers in cloud.nova.allocations.items()
                if consumer in consumers
            }
            return Response(200, {"allocations": held})
        case ("DELETE", ["allocations", consumer]):
            freed = [consumers.pop(consumer, None) for consumers in cloud.nova.allocations.values()]
            return Response(204 if any(freed) else 404)
    return Response(
        404, {"errors": [{"status": 404, "title": "Not Found", "detail": f"not simulated: {request.name}"}]}
    )


def _provider(provider: str, host: str) -> dict[str, Any]:
    return {"uuid": provider, "name": host, "generation": 1, "root_provider_uuid": provider, "links": []}


def _about(  # noqa: PLR0911 - a table of routes
    cloud: SimCloud, provider: str, host: str, what: list[str]
) -> Response:
    match what:
        case []:
            return Response(200, _provider(provider, host))
        case ["inventories"]:
            more = {"min_unit": 1, "step_size": 1}
            rows = {
                name: {**item, **more, "max_unit": item["total"]} for name, item in cloud.nova.inventory(host).items()
            }
            return Response(200, {"inventories": rows, **_GENERATION})
        case ["usages"]:
            return Response(200, {"usages": cloud.nova.used(provider), **_GENERATION})
        case ["allocations"]:
            held = {c: {"resources": r} for c, r in cloud.nova.allocations[provider].items()}
            return Response(200, {"allocations": held, **_GENERATION})
        case ["traits"]:
            return Response(200, {"traits": sorted(cloud.nova.traits(host)), **_GENERATION})
        case ["aggregates"]:
            return Response(200, {"aggregates": [], **_GENERATION})
    return Response(404, {"errors": [{"status": 404, "title": "Not Found", "detail": f"not simulated: {what}"}]})
