"""glance: ``api-ref/source/v2``. It has no microversions; its schemas say which fields there are."""

from model.calls.base import Call, Pick, Recorded
from model.contract_shape import Rules

# glance/api/v2/images.py, _get_base_properties: what glance itself gives; anything else is a property of an image.
_IMAGE = frozenset(
    {
        *("id", "name", "status", "visibility", "protected", "checksum", "os_hash_algo", "os_hash_value"),
        *("owner", "size", "virtual_size", "container_format", "disk_format", "created_at", "updated_at", "tags"),
        *("min_ram", "min_disk", "self", "file", "schema", "os_hidden"),
    }
)

GLANCE = Recorded(
    unit="glance",
    service_type="image",
    calls=(
        Call(
            name="images",
            path="/v2/images",
            query={"limit": "50", "sort": "created_at:asc"},
            pick=Pick(name="image", rows="images"),
        ),
        Call(name="image", path="/v2/images/{image}", shows="image"),
        Call(name="image members", path="/v2/images/{image}/members"),
        Call(name="schema of images", path="/v2/schemas/images"),
        Call(name="schema of an image", path="/v2/schemas/image"),
        Call(name="schema of members", path="/v2/schemas/members"),
        Call(name="schema of a member", path="/v2/schemas/member"),
        Call(name="tasks", path="/v2/tasks", query={"limit": "50"}),
        Call(name="stores", path="/v2/info/stores"),
        Call(name="import methods", path="/v2/info/import"),
        Call(name="namespaces", path="/v2/metadefs/namespaces", query={"limit": "50"}),
        Call(name="resource types", path="/v2/metadefs/resource_types"),
    ),
    rules=Rules(
        # "next" is there while there are more pages.
        optional=frozenset({"next"}),
        open={"/images": _IMAGE, "/image": _IMAGE},
    ),
)
