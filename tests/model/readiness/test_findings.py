"""What programs read of a finding."""

from model.work import Finding


def test_what_a_finding_is_about_can_be_read_by_programs() -> None:
    finding = Finding(severity="error", subject="nova-api on ctl1, ctl2", problem="p", remedy="`a`, then `b -c`")
    assert finding.word == "blocker"
    assert finding.commands == ("a", "b -c")
    assert finding.hosts_among(["ctl1", "ctl2", "cmp1"]) == ("ctl1", "ctl2")
