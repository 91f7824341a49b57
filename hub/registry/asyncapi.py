"""What one member sends and receives, as an AsyncAPI document made from the schemas.

AsyncAPI 3.0 with the Kafka binding 0.5.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0,
https://github.com/asyncapi/bindings/tree/master/kafka). The document is JSON, which every reader of YAML takes.
"""

from __future__ import annotations

from typing import Any

from hub.registry.subjects import TOLD, Subjects
from schemas import topics
from schemas.catalogue import Schema, example
from schemas.members import Alliance

_AVRO = "application/vnd.apache.avro;version=1.9.0"
_BINDING = "0.5.0"
# As `schemas.envelope` writes them (CloudEvents 1.0, Kafka protocol binding, binary mode).
_CE = {
    "ce_specversion": "Version of CloudEvents, 1.0.",
    "ce_id": "UUID of the event; a repeat has the same.",
    "ce_type": "Type of the event with its version.",
    "ce_source": "System that says it.",
    "ce_subject": "Thing it is about.",
    "ce_time": "When it happened, RFC 3339.",
    "content-type": "application/avro.",
}


def asyncapi(
    subjects: Subjects, alliance: Alliance, member: str, bootstrap: str, registry: str
) -> dict[str, Any]:
    """The document of `member` (a code of `alliance`). `bootstrap` is `host:port[,...]`, `registry` the registry's URL."""
    who = alliance.members[member]
    known = subjects.known
    events = known.events()
    told = [known.newest[event] for event in TOLD]
    channels = {
        "outbox": _channel(
            topics.outbox(member), f"What {who.name_en} states, signed by it.", events
        ),
        "inbox": _channel(
            topics.inbox(member), f"What concerns {who.name_en}, in the ledger's order.", [*events, *told]
        ),
    }  # fmt: skip
    return {
        "asyncapi": "3.0.0",
        "id": f"urn:alliance:{member}",
        "info": {
            "title": f"{alliance.name}: {who.name_en} ({who.name_zh})",
            "version": f"1.0.{max(known.by_id)}",
            "description": "Every event this university may send and everything it receives. The last part of the version "
            "is the newest schema id.",
        },
        "defaultContentType": "application/avro",
        "servers": {
            f"broker{number}": {
                "host": host,
                "protocol": "kafka",
                "bindings": {
                    "kafka": {
                        "schemaRegistryUrl": registry,
                        "schemaRegistryVendor": "confluent",
                        "bindingVersion": _BINDING,
                    }
                },
            }
            for number, host in enumerate(bootstrap.split(","), 1)
        },
        "channels": channels,
        "operations": {
            "send": _operation("send", "outbox", channels, "State what happened at this university."),
            "receive": _operation("receive", "inbox", channels, "Hear outcomes, and events of others that concern it."),
        },
        "components": {
            "messages": {one.class_name: _message(one) for one in [*events, *told]},
            "messageTraits": {
                "cloudEvent": {
                    "headers": {
                        "type": "object",
                        "properties": {
                            name: {"type": "string", "description": said} for name, said in _CE.items()
                        },
                    }
                }
            },
        },
    }  # fmt: skip


def _channel(topic: str, said: str, schemas: list[Schema]) -> dict[str, Any]:
    return {
        "address": topic,
        "description": said,
        "messages": {
            one.class_name: {"$ref": f"#/components/messages/{one.class_name}"} for one in schemas
        },
        "bindings": {"kafka": {"topic": topic, "partitions": 1, "bindingVersion": _BINDING}},
    }


def _operation(action: str, channel: str, channels: Any, said: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": said,
        "messages": [
            {"$ref": f"#/channels/{channel}/messages/{name}"}
            for name in channels[channel]["messages"]
        ],
    }


def _message(schema: Schema) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": schema.event,
        "title": schema.class_name,
        "summary": schema.doc,
        "contentType": "application/avro",
        "payload": {"schemaFormat": _AVRO, "schema": schema.avro},
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "description": f"The value of {schema.key}."
                    if schema.key
                    else "Set by the hub.",
                },
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "4",
                "schemaLookupStrategy": "RecordNameStrategy",
                "bindingVersion": _BINDING,
            }
        },
    }
    if schema.is_event():
        made["traits"] = [{"$ref": "#/components/messageTraits/cloudEvent"}]
        made["examples"] = [{"name": "story", "summary": "As JSON.", "payload": example(schema)}]
    return made
