"""`docker-compose.yml` against the code it starts. Reads the file; no container engine is needed."""

import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.config import load_config
from hub.broker import jars, kafka, resolve
from hub.broker.kafka import Node
from hub.run.cli import PARTS
from hub.security.keys import keygen
from hub.settings import Settings, read_settings
from hub.store.tables import open_engine
from tests.support.command_line import fault
from tests.support.compose import (
    ROOT,
    Service,
    compose,
    our_services,
    outside,
    services,
    shell_lines,
)

SAMPLE = ROOT / "connectors" / "reference" / "sample"
CAMPUSES = [service for service in our_services() if "ALLIANCE_MEMBER" in service.environment]
HUB = [service for service in our_services() if service not in CAMPUSES]
# What must differ from the embedded broker's settings: there one loopback address, here a network of containers.
ADDRESSES = {
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "controller.quorum.voters",
    "log.dirs",
}
NOT_PROPERTIES = {"KAFKA_HEAP_OPTS"}  # the image's own


def each(found: list[Service]) -> Any:
    return pytest.mark.parametrize("service", found, ids=lambda service: service.name)


class Asked(Mapping[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def variables_of_the_sample(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("env"), str):
            yield node["env"]
        for value in node.values():
            yield from variables_of_the_sample(value)


def inline_image() -> str:
    (text,) = {service.raw["build"]["dockerfile_inline"] for service in our_services()}
    return text


def properties_of_kafka() -> dict[str, str]:
    """Broker settings as the image derives them: KAFKA_NODE_ID becomes node.id."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in services()["kafka"].environment.items()
        if name not in NOT_PROPERTIES
    }


def test_every_process_of_the_hub_has_its_service():
    """A part that no service runs would make the pilot another system than the one described."""
    run = {line[1] for service in HUB for line in service.alliance_lines() if line[0] == "run"}
    assert run == set(PARTS)
    assert {"kafka", "postgres", "setup", "console"} <= services().keys()
    assert len(CAMPUSES) == 2


@each(our_services())
def test_every_command_line_parses(service):
    """A renamed command or option must not be noticed by the first operator."""
    lines = list(service.alliance_lines())
    assert lines
    assert [found for line in lines if (found := fault(line, whole=True))] == []


@each(HUB)
def test_the_hub_reads_every_variable_it_is_given(service):
    """A variable nobody reads is a setting the operator believes in."""
    asked = Asked()
    read_settings(asked)
    given = {name for name in service.environment if name.startswith("ALLIANCE_")}
    assert given <= asked.names
    assert given == set(service.environment)


@each(CAMPUSES)
def test_a_campus_reads_every_variable_it_is_given(service):
    """The sample folder is set up by environment alone."""
    known = set(variables_of_the_sample(tomllib.loads((SAMPLE / "connector.toml").read_text())))
    assert set(service.environment) == known


@each(HUB)
def test_the_settings_are_accepted_and_name_the_services(service):
    """Addresses inside the network are names of services."""
    settings = read_settings(service.environment)
    assert settings.bootstrap == "kafka:19092"
    assert ("PLAINTEXT", "kafka:19092") in listeners("advertised.listeners")
    engine = open_engine(settings.database_url)
    engine.dispose()
    assert engine.url.host in services()
    postgres = services()["postgres"].environment
    assert engine.url.username == postgres["POSTGRES_USER"]
    assert engine.url.database == postgres["POSTGRES_DB"]
    assert engine.url.password == postgres["POSTGRES_PASSWORD"]


def listeners(name: str) -> list[tuple[str, str]]:
    return [
        (listener, address)
        for listener, _, address in (
            item.partition("://") for item in properties_of_kafka()[name].split(",")
        )
    ]


def test_the_campus_folders_load_with_their_environment(tmp_path):
    """Keys, configuration and state are where the variables say once `setup` has run."""
    for service in CAMPUSES:
        for source, _ in service.mounts:
            if "/" not in source:
                (tmp_path / source).mkdir(exist_ok=True)
    alliance = tmp_path / "alliance" / "alliance.toml"
    alliance.write_text((ROOT / "alliance.toml").read_text())
    for service in CAMPUSES:
        code = service.environment["ALLIANCE_MEMBER"]
        environ = {
            name: outside(value, service, tmp_path) for name, value in service.environment.items()
        }
        keygen(alliance, Path(environ["ALLIANCE_KEY"]).parent, [code])
        config = load_config(SAMPLE, environ)
        assert config.member.code == code
        assert config.state_path.parent == tmp_path / service.name
        assert config.kafka.bootstrap == "kafka:19092"


def test_setup_makes_a_key_for_each_campus_and_the_topics():
    """What the campuses mount is what `setup` writes."""
    setup = services()["setup"]
    lines = shell_lines(setup.command[-1])
    made = {
        (line[line.index("--member") + 1], line[line.index("--out") + 1])
        for line in lines
        if line[:3] == ["alliance", "members", "keygen"] and "--member" in line
    }
    wanted = {
        (code, str(Path(service.environment["ALLIANCE_KEY"]).parent))
        for service in CAMPUSES
        for code in [service.environment["ALLIANCE_MEMBER"]]
    }
    assert made == wanted
    assert ["alliance", "topics", "apply"] in lines
    hub_keys = ["alliance", "members", "keygen", "--hub", "--out", "/var/lib/keys/hub"]
    assert lines.index(hub_keys) < lines.index(["alliance", "topics", "apply"])
    assert "/etc/alliance" in setup.writable_targets


def test_each_campus_sees_its_own_key_only():
    """A key that two campuses can read signs for both."""
    for service in CAMPUSES:
        keys = [source for source, _ in service.mounts if source.startswith("keys-")]
        assert keys == [f"keys-{service.environment['ALLIANCE_MEMBER']}"]
    assert not any(
        source.startswith("keys-") for s in HUB for source, _ in s.mounts if s.name != "setup"
    )


def test_the_key_of_the_log_is_where_it_is_needed_alone():
    """Who has it can sign another ledger's checkpoints; admission needs the key for promises beside it."""
    holders = {s.name for s in HUB if any(source == "hub-keys" for source, _ in s.mounts)}
    assert holders == {"setup", "signer", "admission"}
    writers = {s.name for s in HUB if "/var/lib/keys/hub" in s.writable_targets}
    assert writers == {"setup"}


def test_ports_are_the_defaults_and_loopback_only():
    """Nothing of a pilot without passwords may be reachable from elsewhere."""
    published = {s.name: s.raw["ports"] for s in services().values() if "ports" in s.raw}
    console_port = Settings().http_address[1]
    assert published == {
        "kafka": [f"127.0.0.1:{resolve.COMPOSE_PORT}:{resolve.COMPOSE_PORT}"],
        "console": [f"127.0.0.1:{console_port}:{console_port}"],
    }
    assert ("HOST", f"127.0.0.1:{resolve.COMPOSE_PORT}") in listeners("advertised.listeners")
    assert services()["console"].environment["ALLIANCE_HTTP"].endswith(f":{console_port}")


def test_kafka_is_the_version_the_hub_pins():
    """The embedded broker and the pilot's are one and the same."""
    assert services()["kafka"].raw["image"] == f"apache/kafka:{jars.KAFKA_VERSION}"
    assert f"<kafka.version>{jars.KAFKA_VERSION}<" in (ROOT / "hub/broker/pom.xml").read_text()


def test_kafka_has_the_settings_of_the_embedded_broker(tmp_path):
    """What passes the tests must pass in the pilot: the same limits, the same refusal to make topics by itself."""
    node = Node(bootstrap_port=9092, controller_port=29093, cluster_id="", version="")
    text = kafka._properties(tmp_path, node)
    embedded = dict(line.split("=", 1) for line in text.splitlines())
    here = properties_of_kafka()
    assert here.keys() == embedded.keys()
    different = {name for name in here if here[name] != embedded[name]}
    assert different <= ADDRESSES
    assert here["auto.create.topics.enable"] == "false"
    heap = services()["kafka"].environment["KAFKA_HEAP_OPTS"].split()
    assert heap == [option for option in kafka.JVM_OPTIONS if option.startswith("-Xm")]


def test_kafka_listens_where_it_says_it_can_be_found():
    """Each advertised name has a listener on the same port, and a protocol."""
    listening = {name: address.rsplit(":")[-1] for name, address in listeners("listeners")}
    for name, address in listeners("advertised.listeners"):
        assert listening[name] == address.rsplit(":")[-1]
    protocols = properties_of_kafka()["listener.security.protocol.map"].split(",")
    assert {item.partition(":")[0] for item in protocols} == listening.keys()
    voter = properties_of_kafka()["controller.quorum.voters"].partition("@")[2]
    assert ("CONTROLLER", voter) in listeners("listeners")


@each(list(services().values()))
def test_every_service_says_whether_it_is_well(service):
    """`setup` is the exception: it ends, and the others wait for its success."""
    if service.name == "setup":
        assert service.raw["restart"] == "no"
        return
    assert service.health_test
    assert service.raw["restart"] == "unless-stopped"


def test_the_workers_health_check_looks_for_the_brokers_port():
    """The port stands in hexadecimal in /proc/net/tcp; 01 is an established connection."""
    port = int(services()["admission"].environment["ALLIANCE_BOOTSTRAP"].rpartition(":")[2])
    for service in HUB:
        if service.name not in ("setup", "console"):
            assert f":{port:04X} 01 " in (service.health_test or [])


@each(our_services())
def test_services_wait_for_what_they_need(service):
    """A worker that starts before its topics exist would restart until they do."""
    wanted = {"kafka": "service_healthy"}
    if service.name != "setup":
        wanted["setup"] = "service_completed_successfully"
    if service.name in ("projector", "console", "alerts"):
        wanted["postgres"] = "service_healthy"
    assert service.needs == wanted


def test_images_are_pinned():
    """The same file must start the same programs next year."""
    images = [service.raw["image"] for service in services().values()]
    images += [line.split()[1] for line in inline_image().splitlines() if line.startswith("FROM ")]
    for image in images:
        tag = image.partition(":")[2]
        assert tag.split("-")[0].count(".") == 2 or image.startswith("postgres:"), image
        assert tag.split("-")[0].replace(".", "").isdecimal(), image
    assert {s.raw["image"] for s in our_services()} == {f"alliance-hub:{version('alliance-hub')}"}


def test_the_image_installs_locked_files_and_runs_without_root():
    """Each dependency is checked against its hash, and no process can change the program it runs."""
    lines = inline_image().splitlines()
    assert any("--require-hashes" in line and "requirements.lock" in line for line in lines)
    assert any("PYTHONSAFEPATH=1" in line for line in lines if line.startswith("ENV "))
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    users = [line for line in lines[last:] if line.startswith("USER ")]
    assert users == ["USER alliance"]
    assert not any("pip install" in line and "--no-index" not in line for line in lines[last:])
    for line in lines:
        if line.startswith("COPY "):
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line


@each(our_services())
def test_volumes_exist_and_can_be_written(service):
    """Named volumes are declared, mounted files stand in the repository, and the image owns what is written to."""
    for source, _ in service.mounts:
        assert (ROOT / source).exists() if "/" in source else source in compose()["volumes"], source
    made = inline_image().partition("install --directory")[2].partition("USER")[0].split()
    assert set(service.writable_targets) <= set(made)


def test_no_volume_is_declared_in_vain():
    """A volume nobody mounts keeps nothing."""
    mounted = {source for service in services().values() for source, _ in service.mounts}
    assert set(compose()["volumes"]) == {source for source in mounted if "/" not in source}
