/*
 * A sensor on a bare microcontroller: a reading each second, acknowledged when it is on the broker's disk, and an interval that can be set
 * from there. See ../../README.md for how it is compiled and run, also in QEMU.
 */
#define HEADWATER_IMPLEMENTATION
#include "headwater.h"

#include "board.h"

static hw_client hw;
static hw_topic reading_topic = HW_TOPIC("plant/bench/reading");
static hw_topic interval_topic = HW_TOPIC("plant/bench/interval");

static uint32_t interval_ms = 1000;

/* Stands for a sensor: 20.0 to 29.9, and down again. */
static uint16_t tenths_of_degree(void) {
  static uint16_t step;
  step = (uint16_t)((step + 1) % 200);
  return (uint16_t)(200 + (step < 100 ? step : 199 - step));
}

/* "21.5"; no printf, which would be larger than the library. */
static uint8_t to_text(uint16_t tenths, char *text) {
  text[0] = (char)('0' + tenths / 100);
  text[1] = (char)('0' + tenths / 10 % 10);
  text[2] = '.';
  text[3] = (char)('0' + tenths % 10);
  return 4;
}

/* plant/bench/interval: seconds, one or two digits */
static hw_result on_message(void *context, const hw_message *message) {
  uint8_t i;
  uint16_t seconds = 0;
  (void)context;
  if (!hw_is_of(message, &interval_topic)) return HW_INVALID_TOPIC;
  for (i = 0; i < message->length && i < 2; i++) seconds = (uint16_t)(seconds * 10 + (message->payload[i] - '0'));
  if (seconds > 0 && seconds < 100) interval_ms = seconds * 1000ul;
  return HW_ACKNOWLEDGED;
}

static const hw_config config = {
    .client_id = "bench",
    .keep_alive_s = 30,
    .write = board_write,
    .now_ms = board_now_ms,
    .on_message = on_message,
};

int main(void) {
  uint32_t read_at = 0;
  board_start();
  hw_start(&hw, &config);
  hw_subscribe(&hw, &interval_topic, HW_QOS_1);
  hw_connect(&hw);
  for (;;) {
    uint8_t byte;
    while (board_read(&byte)) hw_receive(&hw, &byte, 1);
    hw_poll(&hw);
    if (board_now_ms(NULL) - read_at >= interval_ms && !hw_is_busy(&hw)) {
      char text[4];
      read_at = board_now_ms(NULL);
      hw_publish(&hw, &reading_topic, text, to_text(tenths_of_degree(), text), HW_QOS_1);
    }
    board_wait();
  }
}
