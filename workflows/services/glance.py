"""glance: ``doc/source/admin/rollingupgrades.rst`` (expand, migrate; contract when no old node runs)."""

from model.plan import Reversibility
from workflows.services.base import ApiService
from workflows.services.builder import Manage, upgrade_check

GLANCE = ApiService(
    "glance",
    after=("keystone",),
    expand=(
        upgrade_check("glance"),
        Manage("db-expand", "expand glance's schema", ("glance-manage", "db", "expand"), Reversibility.R2),
        Manage("db-migrate", "migrate glance's data", ("glance-manage", "db", "migrate"), Reversibility.R2),
    ),
    finish=(Manage("db-contract", "contract glance's schema", ("glance-manage", "db", "contract"), Reversibility.R4),),
)
