"""A client made with Eclipse Paho for Python, driven by lines of JSON: a command comes in, its answer and what is received go out.

    {"do": "connect", "client": "c1", "version": 5, "clean": false, "expiry": 60, "will": {"topic": "w", "payload": "gone", "qos": 1}}
    {"do": "subscribe", "filter": "a/#", "qos": 2}
    {"do": "publish", "topic": "a/b", "payload": "1", "qos": 2, "retain": false, "properties": {...}}
    {"do": "disconnect"} {"do": "kill"}

Answers are {"done": ...}; what comes without being asked for is {"message": {...}} or {"lost": reason}.
"""
import json
import os
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

VERSIONS = {3: mqtt.MQTTv31, 4: mqtt.MQTTv311, 5: mqtt.MQTTv5}
ANSWER_SECONDS_MAX = 30
lock = threading.Lock()


def say(value):
    with lock:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()


def make(command, port):
    """A client, and an event that says that the broker answered its CONNECT."""
    version = command.get("version", 4)
    options = {} if version == 5 else {"clean_session": command.get("clean", True)}
    name = command["client"]
    # Paho 2 wants to know which form of callbacks is meant; that of Paho 1 is what both have
    if hasattr(mqtt, "CallbackAPIVersion"):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, name, protocol=VERSIONS[version], **options)
    else:
        client = mqtt.Client(name, protocol=VERSIONS[version], **options)
    if "will" in command:
        client.will_set(**command["will"])
    answered = threading.Event()
    facts = {}

    def on_connect(_client, _data, flags, code, *_):
        facts.update(code=int(getattr(code, "value", code)), session=int(flags["session present"]))
        answered.set()

    def on_disconnect(_client, _data, code, *_):
        say({"lost": int(getattr(code, "value", code))})

    def on_message(_client, _data, message):
        properties = getattr(message, "properties", None)
        about = properties.json() if properties is not None else {}
        say({"message": {
            "topic": message.topic, "payload": message.payload.decode(), "qos": message.qos,
            "retain": bool(message.retain), "properties": about,
        }})

    client.on_connect, client.on_disconnect, client.on_message = on_connect, on_disconnect, on_message
    # the test says when it connects again
    client.reconnect_delay_set(min_delay=1, max_delay=1)
    if version == 5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = command.get("expiry", 0)
        client.connect("127.0.0.1", port, clean_start=command.get("clean", True), properties=properties)
    else:
        client.connect("127.0.0.1", port)
    client.loop_start()
    if not answered.wait(ANSWER_SECONDS_MAX):
        raise TimeoutError("no CONNACK")
    return client, facts


def publish(client, command):
    properties = None
    if "properties" in command:
        properties = Properties(PacketTypes.PUBLISH)
        for name, value in command["properties"].items():
            if name == "CorrelationData":
                value = bytes.fromhex(value)
            if name == "UserProperty":
                value = [tuple(pair) for pair in value]
            setattr(properties, name, value)
    info = client.publish(
        command["topic"], command["payload"], command["qos"], command.get("retain", False), properties=properties
    )
    info.wait_for_publish(ANSWER_SECONDS_MAX)
    return info.is_published()


def subscribe(client, command):
    granted = []
    answered = threading.Event()

    def on_subscribe(_client, _data, _mid, codes, *_):
        granted.extend(int(getattr(code, "value", code)) for code in codes)
        answered.set()

    client.on_subscribe = on_subscribe
    client.subscribe(command["filter"], command["qos"])
    if not answered.wait(ANSWER_SECONDS_MAX):
        raise TimeoutError("no SUBACK")
    return granted


def main():
    port = int(sys.argv[1])
    client = None
    for line in sys.stdin:
        command = json.loads(line)
        what = command["do"]
        try:
            if what == "connect":
                client, facts = make(command, port)
                say({"done": facts})
            elif what == "subscribe":
                say({"done": subscribe(client, command)})
            elif what == "publish":
                say({"done": publish(client, command)})
            elif what == "disconnect":
                client.disconnect()
                client.loop_stop()
                say({"done": True})
            elif what == "kill":
                os._exit(0)
        except Exception as error:  # the test is told
            say({"failed": "%s: %s" % (type(error).__name__, error)})


main()
