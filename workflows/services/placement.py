"""placement: ``doc/source/admin/upgrade-notes.rst``. It must be at the new release before any part of nova."""

from model.plan import Reversibility
from workflows.services.base import ApiService
from workflows.services.builder import Manage, upgrade_check

PLACEMENT = ApiService(
    "placement",
    after=("keystone",),
    expand=(
        Manage("db-sync", "expand placement's schema", ("placement-manage", "db", "sync"), Reversibility.R2),
        upgrade_check("placement"),
    ),
    finish=(
        Manage(
            "online-data-migrations",
            "migrate placement's data",
            ("placement-manage", "db", "online_data_migrations"),
            Reversibility.R4,
            again=(1,),
            meanings={"1": "some data was migrated, and there may be more", "127": "bad input"},
        ),
    ),
)
