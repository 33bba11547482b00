/*
 * Headwater on an Arduino: a reading each second over the USB cable, acknowledged when it is on the broker's disk.
 *
 * Put headwater.h beside this file (Sketch, Add File ...). The USB port is the wire, so Serial.print is not for messages any more.
 */
#define HEADWATER_IMPLEMENTATION
#include "headwater.h"

static hw_client hw;
static hw_topic brightness = HW_TOPIC("plant/bench/brightness");
static hw_topic lamp = HW_TOPIC("plant/bench/lamp");

static void writeBytes(void *, const uint8_t *bytes, size_t n) { Serial.write(bytes, n); }
static uint32_t nowMs(void *) { return millis(); }

// plant/bench/lamp: "1" is on
static hw_result onMessage(void *, const hw_message *message) {
  if (!hw_is_of(message, &lamp)) return HW_INVALID_TOPIC;
  digitalWrite(LED_BUILTIN, message->length > 0 && message->payload[0] == '1' ? HIGH : LOW);
  return HW_ACKNOWLEDGED;
}

static hw_config config;
static uint32_t readAt;

void setup() {
  pinMode(LED_BUILTIN, OUTPUT);
  Serial.begin(115200);
  config.client_id = "bench";
  config.keep_alive_s = 30;
  config.write = writeBytes;
  config.now_ms = nowMs;
  config.on_message = onMessage;
  hw_start(&hw, &config);
  hw_subscribe(&hw, &lamp, HW_QOS_1);
  hw_connect(&hw);
}

void loop() {
  while (Serial.available() > 0) {
    uint8_t byte = (uint8_t)Serial.read();
    hw_receive(&hw, &byte, 1);
  }
  hw_poll(&hw);
  if (millis() - readAt >= 1000 && !hw_is_busy(&hw)) {
    char text[8];
    readAt = millis();
    itoa(analogRead(A0), text, 10);
    hw_publish(&hw, &brightness, text, strlen(text), HW_QOS_1);
  }
}
