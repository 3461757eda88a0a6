"""glance: versions, its health check, and images: list, show, make, give data, delete."""

from typing import Any

from simulator.cloud import SimCloud
from simulator.http import Request, Response
from simulator.tenants import TINY, Image

IMAGE = TINY
_KNOWN = {"id", "name", "visibility", "disk_format", "container_format"}


def answer(cloud: SimCloud, request: Request) -> Response:
    """Answer a request to glance."""
    links = [{"rel": "self", "href": f"http://{cloud.spec.vip}:9292/v2/"}]
    images = cloud.tenants.images
    match (request.method, [part for part in request.path.split("/") if part]):
        case ("GET", [] | ["versions"]):
            return Response(300, {"versions": [{"id": "v2.17", "status": "CURRENT", "links": links}]})
        case ("GET", ["healthcheck"]):
            return Response(200, b"OK")
        case ("GET", ["v2", "images"]):
            tag = request.query.get("tag")
            rows = [_shown(image) for image in images.values() if tag in {None, *image.properties.get("tags", ())}]
            return Response(200, {"images": rows, "first": "/v2/images", "schema": "/v2/schemas/images"})
        case ("POST", ["v2", "images"]):
            body = request.json()
            more = {key: value for key, value in body.items() if key not in _KNOWN}
            return Response(201, _shown(cloud.tenants.add_image(str(body.get("name", "")), more)))
        case (_, ["v2", "images", id_, *rest]) if id_ in images:
            return _about(cloud, request, images[id_], rest)
    return Response(404, b"<html><body><h1>404 Not Found</h1>not simulated</body></html>")


def _about(cloud: SimCloud, request: Request, image: Image, rest: list[str]) -> Response:
    match (request.method, rest):
        case ("GET", []):
            return Response(200, _shown(image))
        case ("PUT", ["file"]):
            image.size, image.status = len(request.body), "active"
            return Response(204)
        case ("DELETE", []):
            cloud.tenants.delete_image(image)
            return Response(204)
    return Response(404, b"<html><body><h1>404 Not Found</h1>not simulated</body></html>")


def _shown(image: Image) -> dict[str, Any]:
    row: dict[str, Any] = {"id": image.id, "name": image.name, "status": image.status, "visibility": image.visibility}
    row |= {"disk_format": "raw", "container_format": "bare", "min_disk": 0, "min_ram": 0, "owner": image.owner}
    return {**image.properties, **row, "size": image.size}
