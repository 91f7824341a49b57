"""The schema registry asked by clients that are not ours: Confluent's serializers and kcat.

kcat needs to be built with libserdes (https://github.com/edenhill/kcat, `./configure --enable-avro`); Debian's is not, and
Debian has no libserdes. Where it is elsewhere, ALLIANCE_KCAT names the program. Without one that knows Avro its test is
skipped, with the reason; Confluent's client, which comes with the development dependencies, always runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
import uvicorn
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    SchemaRegistryError,
    record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from starlette.applications import Starlette

from hub.api.registry_routes import Registry
from hub.registry.subjects import Subjects
from schemas.catalogue import catalogue, example
from schemas.codec import decode, encode, from_json

MEMBERS = ("10610", "10611")
AWARDED = "alliance.credit.CreditAwarded"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where the registry is served, on a free port of the loopback address."""
    app = Starlette(routes=Registry(Subjects(catalogue(), MEMBERS)).routes())
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until, "the registry did not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/registry"
    server.should_exit = True
    thread.join(10)
    listening.close()


@pytest.fixture
def client(url: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": url}) as made:
        yield made


def story(event: str) -> bytes:
    """The example of an event, as our codec writes it."""
    return encode(from_json(event, example(catalogue().newest[event])))


def value_of(topic: str) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE)


def test_confluents_deserializer_reads_every_event_of_the_story(
    client: SchemaRegistryClient,
) -> None:
    """Whoever follows an inbox with Confluent's library needs nothing of ours but the address."""
    read = AvroDeserializer(client)
    for schema in catalogue().events():
        found = read(story(schema.event), value_of("member.10611.in"))
        assert found["envelope"]["event_id"] == example(schema)["envelope"]["event_id"]


@pytest.mark.parametrize(
    "settings",
    [
        {"auto.register.schemas": True},
        {"auto.register.schemas": False},
        {"auto.register.schemas": False, "use.latest.version": True, "subject.name.strategy": record_subject_name_strategy},
    ],
    ids=["registers", "looks up", "newest by record name"],
)  # fmt: skip
def test_confluents_serializer_writes_the_bytes_of_our_codec_into_an_outbox(
    client: SchemaRegistryClient, settings: dict[str, object]
) -> None:
    """An event written by a member's own program must be the event our connector writes: same id, same bytes."""
    text = client.get_latest_version(AWARDED).schema.schema_str
    read = AvroDeserializer(client)
    ours = story("credit.awarded")
    write = AvroSerializer(client, text, conf=settings)
    assert write(read(ours, value_of("member.10611.in")), value_of("member.10611.out")) == ours
    assert decode(ours)


def test_the_client_sees_subjects_versions_and_levels(client: SchemaRegistryClient) -> None:
    """What consoles list: records by name, topics of one type, and the level of compatibility."""
    subjects = client.get_subjects()
    assert AWARDED in subjects
    assert "hub.heartbeats-value" in subjects
    assert client.get_versions(AWARDED) == [1, 2]
    assert client.get_version(AWARDED, 1).schema_id == catalogue().ids[AWARDED, 1]
    assert client.get_compatibility() == "FULL_TRANSITIVE"
    newest = client.get_latest_version(AWARDED)
    assert client.lookup_schema(AWARDED, newest.schema).version == 2
    assert client.get_schema_by_guid(newest.guid).schema_str == newest.schema.schema_str


def test_the_client_hears_which_schema_fits_and_which_is_refused(
    client: SchemaRegistryClient,
) -> None:
    """A schema that would break readers is told by the check, and never registered."""
    avro = json.loads(client.get_latest_version(AWARDED).schema.schema_str)
    fits = {**avro, "fields": [*avro["fields"], {"name": "note", "type": "string", "default": ""}]}
    breaks = {**avro, "fields": [*avro["fields"], {"name": "note", "type": "string"}]}
    assert client.test_compatibility(AWARDED, Schema(json.dumps(fits), "AVRO"))
    assert not client.test_compatibility(AWARDED, Schema(json.dumps(breaks), "AVRO"))
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(AWARDED, Schema(json.dumps(fits), "AVRO"))
    assert refused.value.error_code == 42205
    with pytest.raises(SchemaRegistryError) as unknown:
        client.get_latest_version("nobody.knows-value")
    assert unknown.value.error_code == 40401


@pytest.fixture(scope="module")
def kcat() -> str:
    """The program, if it knows Avro."""
    found = shutil.which(os.environ.get("ALLIANCE_KCAT") or "kcat")
    if found is None:
        pytest.skip("no kcat on this machine, and ALLIANCE_KCAT names none")
    said = subprocess.run([found, "-V"], capture_output=True, text=True, check=False)
    if "Avro" not in said.stdout + said.stderr:
        pytest.skip(
            f"{found} was built without Avro; build one with libserdes, and name it in ALLIANCE_KCAT"
        )
    return found


@pytest.mark.kafka
def test_kcat_decodes_a_topic_with_our_registry(kcat: str, broker: str, url: str) -> None:
    """The operator's usual tool shows events of several types as JSON, told nothing but the registry's address."""
    topic = f"registry-{uuid4().hex[:12]}"
    events = ["credit.awarded", "agreement.changed", "enrollment.decided"]
    asyncio.run(_write(broker, topic, [story(event) for event in events]))
    done = subprocess.run(
        [kcat, "-C", "-q", "-e", "-b", broker, "-t", topic, "-s", "value=avro", "-r", url],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = [json.loads(line)["envelope"]["event_id"] for line in done.stdout.splitlines()]
    assert shown == [example(catalogue().newest[event])["envelope"]["event_id"] for event in events]


async def _write(bootstrap: str, topic: str, values: list[bytes]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()
