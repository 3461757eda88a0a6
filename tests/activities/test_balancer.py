import pytest

from activities.balancer import Server, Session
from activities.balancer.haproxy import HAProxy
from activities.errors import StepFailed
from model.inventory import LoadBalancer

ADAPTER = HAProxy(LoadBalancer(host="infra1", address="10.97.0.10", hold_map="/etc/haproxy/hold.map"))

# HAProxy 2.6.12, the columns up to "lastchg" and the one for the address.
STAT = """# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,status,weight,addr,
nova-api,FRONTEND,,,1,1,2000,94,16314,68853,OPEN,,,
nova-api,ctl1,0,0,3,3,16,21,4590,25337,UP,1,10.97.0.11:8774,
nova-api,ctl2,2,2,16,16,16,18,4590,24637,DRAIN,1,10.97.0.12:8774,
nova-api,ctl3,0,0,0,1,16,18,4590,24637,UP 1/3,1,10.97.0.13:8774,
nova-api,ctl4,0,0,0,1,16,18,4590,24637,MAINT,1,10.97.0.14:8774,
nova-api,ctl5,0,0,0,1,16,18,4590,24637,no check,1,10.97.0.15:8774,
nova-api,BACKEND,5,5,19,19,200,117,16314,68853,UP,2,,
keystone,ctl1,0,0,0,4,16,45,18851,97913,DOWN,1,10.97.0.11:5000,

"""

SESS = """\
0x7f28: proto=tcpv4 src=10.97.0.1:52344 fe=nova-api be=nova-api srv=ctl1 ts=00 epoch=0 age=2s calls=1 rate=0 cpu=0
0x7f29: proto=tcpv4 src=10.97.0.1:52345 fe=nova-api be=nova-api srv=<none> ts=00 epoch=0 age=1m5s calls=1 rate=0
0x7f30: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 age=0s calls=1 rate=0 cpu=0 lat=0

"""


def test_servers() -> None:
    servers = ADAPTER.parse_servers(STAT)
    assert servers[0] == Server(
        backend="nova-api", name="ctl1", status="UP", sessions=3, queued=0, address="10.97.0.11:8774"
    )
    assert [(s.backend, s.name, s.up) for s in servers] == [
        ("nova-api", "ctl1", True),
        ("nova-api", "ctl2", False),
        ("nova-api", "ctl3", True),
        ("nova-api", "ctl4", False),
        ("nova-api", "ctl5", True),
        ("keystone", "ctl1", False),
    ]


def test_waiting_counts_the_queues_of_the_service_and_of_its_instances() -> None:
    assert ADAPTER.waiting(STAT, "nova-api") == 7
    assert ADAPTER.waiting(STAT, "keystone") == 0


def test_sessions() -> None:
    assert ADAPTER.parse_sessions(SESS) == (
        Session(frontend="nova-api", server="ctl1", age=2),
        Session(frontend="nova-api", server=None, age=65),
        Session(frontend="GLOBAL", server=None, age=0),
    )


@pytest.mark.parametrize(
    ("age", "seconds"), [("0s", 0), ("59s", 59), ("1m", 60), ("3m20s", 200), ("2h3m", 7380), ("1d2h", 93600)]
)
def test_ages(age: str, seconds: int) -> None:
    line = f"0x1: proto=tcpv4 src=a fe=nova-api be=nova-api srv=ctl1 ts=00 age={age} calls=1\n"
    assert ADAPTER.parse_sessions(line)[0].age == seconds


@pytest.mark.parametrize("text", ["", "Permission denied\n", "Unknown command.\n"])
def test_what_is_no_statistics_is_not_taken_for_an_empty_list(text: str) -> None:
    with pytest.raises(StepFailed, match="no statistics"):
        ADAPTER.parse_servers(text)


@pytest.mark.parametrize(
    ("output", "complaint"), [("\n", None), ("", None), ("No such server.\n\n", "No such server.")]
)
def test_silence_is_success(output: str, complaint: str | None) -> None:
    assert ADAPTER.check(output) == complaint


def test_commands() -> None:
    pipe = "socat -t 10 stdio unix-connect:/run/haproxy/admin.sock"
    assert ADAPTER.set_state("nova-api", "ctl1", "drain") == (
        f"printf '%s\\n' 'set server nova-api/ctl1 state drain' | {pipe}"
    )
    assert ADAPTER.servers() == f"printf '%s\\n' 'show stat' | {pipe}"


def test_holds_end_by_the_balancers_own_clock() -> None:
    assert ADAPTER.holds().startswith("date +%s; ")
    said = "1795400000\n0x55 keystone 0\n0x56 nova-api 1795400020\n0x57 glance 1795399999\n\n"
    assert ADAPTER.parse_holds(said) == ("nova-api",)
    without = HAProxy(LoadBalancer(host="infra1", address="10.97.0.10"))
    assert without.parse_holds("") == ()


def test_a_balancer_without_a_map_cannot_hold() -> None:
    with pytest.raises(ValueError, match="no map"):
        HAProxy(LoadBalancer(host="infra1", address="10.97.0.10")).hold("nova-api", 20)
