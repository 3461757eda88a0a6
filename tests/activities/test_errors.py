import httpx
import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import (
    JobLost,
    OutcomeUnknown,
    Refused,
    StackrollError,
    StepFailed,
    Unreachable,
    as_application_error,
    last_lines,
    redact,
)


def test_a_message_says_what_where_and_what_next() -> None:
    error = StepFailed(
        "nova-manage failed", host="ctl1", command="nova-manage  db\n sync", status=1, tail="a\n\nb\n", remedy="mend it"
    )
    assert str(error).splitlines() == [
        "ctl1: nova-manage failed",
        "  command: nova-manage db sync",
        "  exit status: 1",
        "  last output:",
        "    a",
        "    b",
        "  next: mend it",
    ]


@pytest.mark.parametrize(
    ("error", "type_", "retried"),
    [
        (Unreachable("x"), "Unreachable", True),
        (Refused("x"), "Refused", False),
        (StepFailed("x"), "StepFailed", False),
        (OutcomeUnknown("x"), "OutcomeUnknown", False),
        (JobLost("x"), "JobLost", False),
        (httpx.ConnectError("refused"), "Unreachable", True),
        (ConnectionResetError("reset"), "Unreachable", True),
        (KeyError("x"), "UnexpectedError", False),
        (ApplicationError("x", type="Own"), "Own", True),
    ],
)
def test_what_temporal_tries_again(error: Exception, type_: str, retried: bool) -> None:
    failure = as_application_error(error)
    assert (failure.type, not failure.non_retryable) == (type_, retried)


@pytest.mark.parametrize(
    "text",
    [
        "connection = mysql+pymysql://nova:SECRET@10.0.0.1:3306/nova?charset=utf8",
        "transport_url = rabbit://openstack:SECRET@10.0.0.1:5672//",
        "password = SECRET",
        "admin_password: SECRET",
        "OS_PASSWORD=SECRET",
        "--os-password SECRET --debug",
        '{"password": "SECRET", "name": "x"}',
        "metadata_proxy_shared_secret=SECRET",
        "X-Auth-Token: SECRET",
        "token gAAAAABlSECRETSECRETSECRETSECRET_-SECRET== was refused",
    ],
)
def test_secrets_never_show(text: str) -> None:
    assert "SECRET" not in redact(text)
    assert "SECRET" not in str(StackrollError(text, command=text, tail=text))
    assert "SECRET" not in str(as_application_error(StepFailed(text, tail=text)).details)


@pytest.mark.parametrize(
    "text",
    [
        "connecting to http://10.0.0.1:5000/v3",
        "Unable to locate the tokens of user nova",
        "usage: nova-manage db [-h] {archive_deleted_rows,sync}",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_the_last_lines_are_few_and_short() -> None:
    assert last_lines("\n".join(str(n) for n in range(100))).splitlines() == [str(n) for n in range(88, 100)]
    assert len(last_lines("x" * 5000)) < 1300
