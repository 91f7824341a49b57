"""Kafka Connect's REST interface as its tools expect it, over what heartbeats say."""

from datetime import UTC, datetime

import pytest

from schemas.connect_dialect import Fleet, Key, Order, Plugin, Shown, answer, joined, plugins_of
from schemas.records import BackfillProgress, ConnectorPart, Heartbeat

AT = datetime(2026, 9, 1, 8, tzinfo=UTC)


def part(name: str, state: str = "running", reason: str = "", cursor: str | None = None) -> ConnectorPart:  # fmt: skip
    return ConnectorPart(name, "http_poll" if name[1] == "o" else "http_push", state, reason, cursor, 0, 0, None, None, None)  # fmt: skip


def beat(*parts: ConnectorPart, state: str = "running", reason: str = "") -> Heartbeat:
    return Heartbeat(
        "10611", "campus", "0.1.0", state, reason, "", 0, 7, 0, 0, AT,
        "00ff", (), parts, (BackfillProgress("a", "running", 1, 2, None),), "node1", 42, AT,
    )  # fmt: skip


PARTS = (part("source.grades", cursor="41"), part("sink.lms"))


def fleet(*parts: ConnectorPart, state: str = "running", reason: str = "", shown: str = "") -> Fleet:  # fmt: skip
    one = Shown(beat(*(parts or PARTS), state=state, reason=reason), shown or state)
    return Fleet([one], plugins_of([one]), "0.1.0", "alliance.example/ledger")


def get(path: str, of: Fleet | None = None, **query: str):
    return answer("GET", path, query, of or fleet())


def test_the_root_says_version_commit_and_cluster():
    """Tools ask it first, and choose their routes by the version."""
    body = get("/").body
    assert set(body) == {"version", "commit", "kafka_cluster_id"}
    assert tuple(map(int, body["version"].split("."))) >= (3, 5)  # the first with /stop


def test_a_list_of_connectors_is_names_unless_expanded():
    """Source: ConnectorsResource.listConnectors."""
    assert get("/connectors").body == ["10611.campus"]
    both = get("/connectors", expand="status,info").body["10611.campus"]
    assert both == {"status": get("/connectors/10611.campus/status").body, "info": get("/connectors/10611.campus").body}  # fmt: skip
    assert set(get("/connectors", expand="info").body["10611.campus"]) == {"info"}
    assert joined([("expand", "status"), ("expand", "info")]) == {"expand": "status,info"}


def test_tasks_are_the_parts_in_their_order():
    """Number and part must stay together, or the wrong one is restarted."""
    info = get("/connectors/10611.campus").body
    assert info["tasks"] == [{"connector": "10611.campus", "task": n} for n in (0, 1)]
    tasks = get("/connectors/10611.campus/tasks").body
    assert [one["config"]["alliance.part"] for one in tasks] == ["source.grades", "sink.lms"]
    restarted = answer("POST", "/connectors/10611.campus/tasks/1/restart", {}, fleet())
    assert restarted.status == 204
    assert restarted.order == Order("10611", "campus", "restart", {"part": "sink.lms"})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("running", "RUNNING"), ("degraded", "RUNNING"), ("paused", "PAUSED"), ("stopped", "STOPPED"),
        ("failed", "FAILED"), ("restarting", "RESTARTING"), ("silent", "UNASSIGNED"), ("unknown", "UNASSIGNED"),
    ],
)  # fmt: skip
def test_each_state_has_connects_name(ours, theirs):
    """Source: AbstractStatus. A connector of which nothing is heard runs nowhere that anybody knows."""
    status = get("/connectors/10611.campus/status", fleet(state=ours)).body
    assert status["connector"]["state"] == theirs
    assert status["connector"]["worker_id"] == "node1:42"


def test_a_reason_is_the_trace_and_absent_without_one():
    """Source: ConnectorStateInfo, where an empty trace is left out; tools show a trace as a fault."""
    failed = fleet(part("source.grades", "failed", "401 from the campus"), part("sink.lms"), state="failed", reason="source.grades: 401")  # fmt: skip
    status = get("/connectors/10611.campus/status", failed).body
    assert status["tasks"][0] == {"id": 0, "state": "FAILED", "worker_id": "node1:42", "trace": "401 from the campus"}  # fmt: skip
    assert "trace" not in status["tasks"][1]
    assert get("/connectors/10611.campus/tasks/0/status", failed).body == status["tasks"][0]


def test_tasks_of_a_silent_connector_are_not_called_running():
    """Its last heartbeat said so, but that was then."""
    status = get("/connectors/10611.campus/status", fleet(shown="silent")).body
    assert {one["state"] for one in status["tasks"]} == {"UNASSIGNED"}


def test_a_stopped_connector_has_no_tasks_and_a_stopped_part_is_paused():
    """Connect knows STOPPED for connectors alone (KIP-875); its tools refuse to read it of a task."""
    assert get("/connectors/10611.campus/status", fleet(state="stopped")).body["tasks"] == []
    one = fleet(part("source.grades", "stopped", "stopped by li"), part("sink.lms"))
    assert get("/connectors/10611.campus/status", one).body["tasks"][0]["state"] == "PAUSED"


@pytest.mark.parametrize(("verb", "status"), [("pause", 202), ("resume", 202), ("stop", 204)])
def test_holding_is_an_order_with_connects_status(verb, status):
    """Source: ConnectorsResource; pause and resume are accepted, stop has no content."""
    reply = answer("PUT", f"/connectors/10611.campus/{verb}", {}, fleet())
    assert (reply.status, reply.body, reply.order) == (status, None, Order("10611", "campus", verb))


def test_restart_of_what_failed_says_so_in_its_order():
    """includeTasks and onlyFailed answer 202 with a status (KIP-745), a plain restart 204."""
    path = "/connectors/10611.campus/restart"
    assert answer("POST", path, {}, fleet()).status == 204
    reply = answer("POST", path, {"includeTasks": "true", "onlyFailed": "true"}, fleet())
    assert reply.status == 202
    assert reply.body["connector"]["state"] == "RESTARTING"
    assert reply.order == Order("10611", "campus", "restart", {"only_failed": True})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/connectors"), ("PUT", "/connectors/10611.campus/config"), ("PATCH", "/connectors/10611.campus/config"),
        ("DELETE", "/connectors/10611.campus"), ("PUT", "/connectors/10611.campus/topics/reset"),
        ("PATCH", "/connectors/10611.campus/offsets"), ("DELETE", "/connectors/10611.campus/offsets"),
    ],
)  # fmt: skip
def test_what_would_change_configuration_is_a_conflict(method, path):
    """A campus owns its configuration; the error says where it is changed, in the shape that tools show."""
    reply = answer(method, path, {}, fleet())
    assert reply.status == 409
    assert reply.body["error_code"] == 409
    assert "campus" in reply.body["message"]
    assert reply.order is None


def test_what_is_not_there_is_404_and_other_methods_405_in_connects_shape():
    """Tools branch on the code, and show the message."""
    asked = [
        ("GET", "/connectors/none/status", 404), ("PUT", "/connectors/none/pause", 404),
        ("GET", "/connectors/10611.campus/tasks/2/status", 404), ("GET", "/connectors/10611.campus/tasks/x/status", 404),
        ("GET", "/connectors/10611.campus/elsewhere", 404), ("GET", "/admin/loggers", 404),
        ("GET", "/connectors/10611.campus/pause", 405), ("DELETE", "/connectors", 405), ("PUT", "/health", 405),
        ("GET", "/connector-plugins/none/config", 404),
    ]  # fmt: skip
    for method, path, status in asked:
        reply = answer(method, path, {}, fleet())
        assert (reply.status, reply.body["error_code"]) == (status, status), path
        assert reply.order is None


def test_offsets_are_cursors_and_the_place_in_the_inbox():
    """Source: KIP-875; a sink's partition is named by kafka_topic and kafka_partition."""
    assert get("/connectors/10611.campus/offsets").body == {
        "offsets": [
            {"partition": {"source": "grades"}, "offset": {"cursor": "41"}},
            {"partition": {"kafka_topic": "member.10611.in", "kafka_partition": 0}, "offset": {"kafka_offset": 7}},
        ]
    }  # fmt: skip
    assert get("/connectors/10611.campus/topics").body == {
        "10611.campus": {"topics": ["member.10611.out", "member.10611.in"]}
    }


def test_config_is_text_and_shows_kinds_alone():
    """Connect's config maps text to text; nothing of connector.toml leaves the campus but which kinds run."""
    config = get("/connectors/10611.campus/config").body
    assert all(isinstance(value, str) for value in config.values())
    assert config["connector.class"] == "http_poll+http_push"
    assert config["alliance.mapping"] == "00ff"


def test_plugins_are_the_kinds_and_validate_has_connects_shape():
    """Source: ConnectorPluginsResource, ConfigInfos."""
    assert [one["class"] for one in get("/connector-plugins").body] == ["http_poll", "http_push"]
    key = Key("base_url", "STRING", True, None, "Where the campus is.")
    known = Fleet([], [Plugin("http_poll", "source", "0.1.0", [key])], "0.1.0")
    found = answer("PUT", "/connector-plugins/http_poll/config/validate", {}, known).body
    assert {"name", "error_count", "groups", "configs"} == set(found)
    assert found["configs"][0]["definition"]["name"] == "base_url"
    assert get("/connector-plugins/http_poll/config", known).body[0]["required"] is True


def test_health_is_connects_of_kip_1017():
    """200 and healthy, or 500 with what is wrong."""
    assert get("/health").body["status"] == "healthy"
    sick = Fleet([], [], "0.1.0", unhealthy="the read model does not answer")
    reply = get("/health", sick)
    assert (reply.status, reply.body["message"]) == (500, "the read model does not answer")


def test_names_in_paths_are_decoded():
    """Tools encode what they put into a path."""
    assert get("/connectors/10611%2Ecampus/status").status == 200
