"""What a step says of itself."""

from model.plan import Action, Phase, Reversibility, Step, hosts_asked


def test_a_step_asks_its_target_and_where_its_guests_are_to_go() -> None:
    about = {"id": "cmp1/drain", "title": "drain cmp1", "target": "cmp1"}
    step = Step(**about, phase=Phase.DATA, action=Action.DRAIN_COMPUTE, reversibility=Reversibility.R1)
    assert hosts_asked(step) == ("cmp1",)
    planned = step.model_copy(update={"params": {"targets": {"g1": "cmp3", "g2": "cmp2", "g3": "cmp3"}}})
    assert hosts_asked(planned) == ("cmp1", "cmp2", "cmp3")
