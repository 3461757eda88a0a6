"""A Prometheus and an Alertmanager in one, behind real HTTP on the loopback network."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SINCE = "2026-11-23T01:02:03.5Z"


@dataclass
class Monitoring:
    """What it tells, and what it was asked."""

    url: str = ""
    alerts: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    wanted: str | None = None
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, authorization: str | None) -> tuple[int, Any]:
        self.asked.append(path)
        if self.wanted is not None and authorization != self.wanted:
            return 401, "who are you"
        if self.status != 200:
            return self.status, "no"
        match path.partition("?")[0]:
            case "/api/v1/alerts":
                pending = {"labels": {"alertname": "Soon"}, "state": "pending", "activeAt": SINCE}
                firing = [{"labels": labels, "state": "firing", "activeAt": SINCE} for labels in self.alerts]
                return 200, {"status": "success", "data": {"alerts": [pending, *firing]}}
            case "/api/v1/query":
                result = [{"metric": labels, "value": [0, "1"]} for labels in self.alerts]
                return 200, {"status": "success", "data": {"resultType": "vector", "result": result}}
            case "/api/v2/alerts":
                return 200, [
                    {"labels": labels, "startsAt": SINCE, "status": {"state": "active"}} for labels in self.alerts
                ]
        return 404, "not found"


@contextmanager
def monitoring() -> Iterator[Monitoring]:
    """Run one."""
    told = Monitoring()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = told.answer(self.path, self.headers.get("Authorization"))
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        told.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
