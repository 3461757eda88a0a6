"""Print the version of every object that this nova knows, and the kinds that the given ones contain, as JSON.

A program of its own: it runs on a control host with the Python of a nova installation. Its arguments are kinds.
"""

import json
import sys
from typing import Any


def known_kinds() -> dict[str, Any]:
    """Return the newest class of each kind."""
    import nova.objects  # type: ignore[import-not-found]  # noqa: PLC0415
    from nova.objects.base import NovaObjectRegistry  # type: ignore[import-not-found]  # noqa: PLC0415

    nova.objects.register_all()
    return {kind: classes[0] for kind, classes in NovaObjectRegistry.obj_classes().items()}


def contained(field: Any, kinds: dict[str, Any]) -> set[str]:
    """Return the kinds that a field may hold, in lists and mappings too."""
    # A field wraps its type; lists and mappings wrap a field in turn.
    kind = getattr(field, "_type", field)
    name = getattr(kind, "_obj_name", "")
    found = {name} if name in kinds else set()
    if found and getattr(kind, "_subclasses", False):
        found |= {other for other, cls in kinds.items() if issubclass(cls, kinds[name])}
    element = getattr(kind, "_element_type", None)
    return found if element is None else found | contained(element, kinds)


def reachable(roots: list[str], kinds: dict[str, Any]) -> list[str]:
    """Return the roots, and all kinds below them."""
    found: set[str] = set()
    waiting = [root for root in roots if root in kinds]
    while waiting:
        kind = waiting.pop()
        if kind not in found:
            found.add(kind)
            waiting += [name for field in kinds[kind].fields.values() for name in contained(field, kinds)]
    return sorted(found)


if __name__ == "__main__":
    all_kinds = known_kinds()
    versions = {kind: cls.VERSION for kind, cls in sorted(all_kinds.items())}
    print(json.dumps({"versions": versions, "reachable": reachable(sys.argv[1:], all_kinds)}))  # noqa: T201
