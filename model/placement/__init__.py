"""Order, room and targets: in which order hosts are emptied, and where each of their guests goes."""

from model.placement.planner import schedule
from model.placement.records import (
    Assignment,
    Cause,
    Cost,
    Durations,
    Filter,
    Schedule,
    Shortfall,
    Skipped,
    Slots,
    Wave,
)
from model.placement.targets import Choice, Kind, choose_targets

__all__ = [
    "Assignment",
    "Cause",
    "Choice",
    "Cost",
    "Durations",
    "Filter",
    "Kind",
    "Schedule",
    "Shortfall",
    "Skipped",
    "Slots",
    "Wave",
    "choose_targets",
    "schedule",
]
