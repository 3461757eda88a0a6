"""keystone: ``doc/source/admin/upgrading.rst``. Others validate their tokens with it, so it goes first."""

from model.plan import Reversibility
from workflows.services.base import ApiService
from workflows.services.builder import Manage, upgrade_check

KEYSTONE = ApiService(
    "keystone",
    after=(),
    expand=(
        upgrade_check("keystone"),
        Manage(
            "db-sync-expand",
            "expand keystone's schema",
            ("keystone-manage", "db_sync", "--expand"),
            Reversibility.R2,
        ),
    ),
    finish=(
        Manage(
            "db-sync-contract",
            "contract keystone's schema",
            ("keystone-manage", "db_sync", "--contract"),
            Reversibility.R4,
        ),
    ),
)
