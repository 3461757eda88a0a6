"""glance: ``doc/source/admin/rollingupgrades.rst`` (expand, migrate; contract when no old node runs).

``glance-status upgrade check`` is not asked: that of 33.0.0 reads ``enabled_backends`` without having registered it,
and ends with status 255 on any cloud (``glance/cmd/status.py``, ``_check_sheepdog_store``).
"""

from model.plan import Reversibility
from workflows.services.base import ApiService
from workflows.services.builder import Manage

GLANCE = ApiService(
    "glance",
    after=("keystone",),
    expand=(
        Manage("db-expand", "expand glance's schema", ("glance-manage", "db", "expand"), Reversibility.R2),
        Manage("db-migrate", "migrate glance's data", ("glance-manage", "db", "migrate"), Reversibility.R2),
    ),
    finish=(Manage("db-contract", "contract glance's schema", ("glance-manage", "db", "contract"), Reversibility.R4),),
)
