"""What a nova knows and stores of its objects, and the program that rewrites those which are newer than a manifest."""

import json
from typing import Any

from simulator.nova import Nova, image_meta, number, reads

_COLUMN = "nova_api.request_specs.spec"
_PASSES = 2


def known_objects(version: str) -> dict[str, Any]:
    """Return what the program of ``activities.scripts.object_versions`` prints; only a few kinds are known here."""
    versions = {"Flavor": "1.2", "ImageMeta": "1.8", "ImageMetaProps": image_meta(version), "RequestSpec": "1.16"}
    # Never stored, and newer in nova 34.
    versions["ShareMappingList"] = "1.1" if number(version) >= (34,) else "1.0"
    return {"versions": versions, "reachable": [kind for kind in versions if kind != "ShareMappingList"]}


def rewrite(nova: Nova, version: str, manifest: dict[str, str]) -> tuple[int, str]:
    """Rewrite request specifications with the code of a version; return the program's status and last line."""
    oldest = manifest["ImageMetaProps"]
    newer = [guest for guest in nova.guests.values() if number(guest.image_meta) > number(oldest)]
    unread = [guest for guest in newer if not reads(version, guest.image_meta)]
    for guest in newer:
        if guest not in unread:
            guest.image_meta = oldest
    problems = [f"{_COLUMN} of {guest.id} (id 1): IncompatibleObjectVersion" for guest in unread]
    done = len(newer) - len(unread)
    result = {
        "rewritten": {_COLUMN: done} if done else {},
        "rows": len(nova.guests) * _PASSES,
        "passes": _PASSES,
        "kinds": [f"ImageMetaProps {oldest}"] if number(image_meta(version)) > number(oldest) else [],
        "problems": problems,
        "problem_count": len(problems),
    }
    return (1 if problems else 0), f"result={json.dumps(result)}"
