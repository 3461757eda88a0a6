"""glance: versions, its health check, and one image."""

from simulator.cloud import SimCloud
from simulator.http import Request, Response

IMAGE = "1" * 8 + "-0000-4000-8000-" + "1" * 12


def answer(cloud: SimCloud, request: Request) -> Response:
    """Answer a request to glance."""
    links = [{"rel": "self", "href": f"http://{cloud.spec.vip}:9292/v2/"}]
    image = {"id": IMAGE, "name": "tiny", "status": "active", "visibility": "public", "size": 1048576}
    image |= {"disk_format": "raw", "container_format": "bare", "min_disk": 0, "min_ram": 0}
    match (request.method, request.path.rstrip("/")):
        case ("GET", "" | "/versions"):
            return Response(300, {"versions": [{"id": "v2.17", "status": "CURRENT", "links": links}]})
        case ("GET", "/healthcheck"):
            return Response(200, b"OK")
        case ("GET", "/v2/images"):
            return Response(200, {"images": [image], "first": "/v2/images", "schema": "/v2/schemas/images"})
        case ("GET", path) if path == f"/v2/images/{IMAGE}":
            return Response(200, image)
    return Response(404, b"<html><body><h1>404 Not Found</h1>not simulated</body></html>")
