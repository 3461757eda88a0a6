"""The OpenStack services, side by side: what each needs in each phase. No Temporal in here."""

from workflows.services.base import Repair, Service
from workflows.services.builder import Context
from workflows.services.glance import GLANCE
from workflows.services.keystone import KEYSTONE
from workflows.services.nova import NOVA
from workflows.services.placement import PLACEMENT

SERVICES: dict[str, Service] = {service.name: service for service in (KEYSTONE, PLACEMENT, GLANCE, NOVA)}

__all__ = ["SERVICES", "Context", "Repair", "Service"]
