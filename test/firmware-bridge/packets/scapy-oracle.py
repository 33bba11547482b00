"""Builds and parses MQTT-SN packets with scapy: [{"type", "fields"} | {"hex"}] as JSON on stdin; a line of JSON with the answers on stdout."""
import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.CRITICAL)
from scapy.contrib import mqttsn as sn  # noqa: E402
from scapy.packet import NoPayload, Raw  # noqa: E402


def decoded(value):
    return value.decode("latin1") if isinstance(value, bytes) else value


def build(question):
    fields = {
        name: value.encode("latin1") if isinstance(value, str) else value
        for name, value in question["fields"].items()
    }
    layer = {bound["type"]: cls for bound, cls in sn.MQTTSN.payload_guess}[question["type"]]
    packet = sn.MQTTSN(type=question["type"], len=question.get("len")) / layer(**fields)
    if "message" in question:
        packet = packet / sn.MQTTSN(bytes.fromhex(question["message"]))
    return {"hex": bytes(packet).hex()}


def parse(question):
    packet = sn.MQTTSN(bytes.fromhex(question["hex"]))
    body = packet.payload
    if isinstance(body, Raw):
        raise ValueError("not parsed: " + question["hex"])
    fields = {} if isinstance(body, NoPayload) else {name: decoded(v) for name, v in body.fields.items()}
    rest = bytes(body.payload).hex() if not isinstance(body, NoPayload) else ""
    return {"type": packet.type, "len": packet.len, "fields": fields, "rest": rest}


answers = [build(q) if "hex" not in q else parse(q) for q in json.load(sys.stdin)]
print(json.dumps(answers))
