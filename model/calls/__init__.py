"""The recorded calls, one module per OpenStack service: what of its API is compared before and after an upgrade."""

from model.calls.base import Call, Pick, Recorded
from model.calls.glance import GLANCE
from model.calls.keystone import KEYSTONE
from model.calls.nova import NOVA
from model.calls.placement import PLACEMENT

RECORDED: dict[str, Recorded] = {one.unit: one for one in (KEYSTONE, PLACEMENT, GLANCE, NOVA)}

__all__ = ["RECORDED", "Call", "Pick", "Recorded"]
