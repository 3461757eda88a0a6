"""Everything that a plan or a workflow calls is there under that name."""

from model.plan import Action
from workers.registry import Activities
from workflows import names


def test_every_action_of_a_plan_is_an_activity_of_the_worker() -> None:
    names_of_activities = {getattr(method, "__temporal_activity_definition").name for method in Activities().all}
    wanted = {action.value for action in Action if action not in (Action.GATE, Action.SOAK, Action.ALERTS)}
    assert names_of_activities == wanted | {
        names.READ_FACTS,
        names.MAKE_PLAN,
        names.PLAN_REBOOT,
        names.MAKE_ROLLBACK_PLAN,
        names.READ_UPGRADE,
        names.READ_GROUP,
        names.WATCH_AVAILABILITY,
        names.CONCLUDE_AVAILABILITY,
        names.WRITE_REPORT,
        names.FIND_OPENINGS,
        names.FIND_NEXT_RUN,
        names.WATCH_ALERTS,
        names.NOTIFY,
        names.PLAN_REHEARSAL,
        names.REHEARSAL_BEGIN,
        names.REHEARSAL_COPY,
        names.REHEARSAL_INSTALL,
        names.REHEARSAL_STEP,
        names.REHEARSAL_END,
        names.REHEARSAL_UNTOUCHED,
        names.SIMULATE_UPGRADE,
        names.WRITE_REHEARSAL,
    }
