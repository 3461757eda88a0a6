"""Order, room and targets: in which order hosts are emptied, and where each of their guests goes."""

from model.placement.bounds import MakespanBound, MovesBound, bound, makespan_bound
from model.placement.planner import schedule, schedules
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
from model.placement.simulation import HostRun, MoveRun, Run, StuckError, simulate
from model.placement.targets import Choice, Kind, choose_targets
from model.placement.why import ruled_out_text, why_guest, why_host

__all__ = [
    "Assignment",
    "Cause",
    "Choice",
    "Cost",
    "Durations",
    "Filter",
    "HostRun",
    "Kind",
    "MakespanBound",
    "MoveRun",
    "MovesBound",
    "Run",
    "Schedule",
    "Shortfall",
    "Skipped",
    "Slots",
    "StuckError",
    "Wave",
    "bound",
    "choose_targets",
    "makespan_bound",
    "ruled_out_text",
    "schedule",
    "schedules",
    "simulate",
    "why_guest",
    "why_host",
]
