"""keystone: ``api-ref/source/v3``. It has no microversions."""

from model.calls.base import Call, Pick, Recorded
from model.contract_shape import Rules

KEYSTONE = Recorded(
    unit="keystone",
    service_type="identity",
    calls=(
        Call(name="version", path="/v3"),
        Call(name="token", path="/v3/auth/tokens", subject=True),
        Call(name="catalog", path="/v3/auth/catalog"),
        Call(name="my projects", path="/v3/auth/projects"),
        Call(name="my domains", path="/v3/auth/domains"),
        Call(name="projects", path="/v3/projects", pick=Pick(name="project", rows="projects")),
        Call(name="project", path="/v3/projects/{project}"),
        Call(name="users", path="/v3/users", pick=Pick(name="user", rows="users")),
        Call(name="user", path="/v3/users/{user}"),
        Call(name="user groups", path="/v3/users/{user}/groups"),
        Call(name="user projects", path="/v3/users/{user}/projects"),
        Call(name="application credentials", path="/v3/users/{user}/application_credentials"),
        Call(name="role assignments", path="/v3/role_assignments", query={"user.id": "{user}"}),
        Call(name="groups", path="/v3/groups"),
        Call(name="domains", path="/v3/domains", pick=Pick(name="domain", rows="domains")),
        Call(name="domain", path="/v3/domains/{domain}"),
        Call(name="roles", path="/v3/roles", pick=Pick(name="role", rows="roles")),
        Call(name="role", path="/v3/roles/{role}"),
        Call(name="role inferences", path="/v3/role_inferences"),
        Call(name="services", path="/v3/services", pick=Pick(name="service", rows="services")),
        Call(name="service", path="/v3/services/{service}"),
        Call(name="endpoints", path="/v3/endpoints", pick=Pick(name="endpoint", rows="endpoints")),
        Call(name="endpoint", path="/v3/endpoints/{endpoint}"),
        Call(name="regions", path="/v3/regions", pick=Pick(name="region", rows="regions")),
        Call(name="region", path="/v3/regions/{region}"),
        Call(name="limits", path="/v3/limits"),
        Call(name="limits model", path="/v3/limits/model"),
        Call(name="registered limits", path="/v3/registered_limits"),
        Call(name="policies", path="/v3/policies"),
    ),
    rules=Rules(
        # Options are set by administrators; anything may be an attribute of a user or project, but for these.
        maps=frozenset({"options"}),
        optional=frozenset({"default_project_id", "description", "email", "password_expires_at", "next", "previous"}),
        open={
            end: frozenset(names.split())
            for end, names in {
                "/users": "id name domain_id enabled links options password_expires_at default_project_id description",
                "/user": "id name domain_id enabled links options password_expires_at default_project_id description",
                "/projects": "id name domain_id enabled links options parent_id is_domain description tags",
                "/project": "id name domain_id enabled links options parent_id is_domain description tags domain",
            }.items()
        },
    ),
)
