/*
 * The firmware of `npm run test:firmware`: publishes numbered messages as fast as they are acknowledged, and reports each acknowledgement on the
 * wire, in a frame whose type is not MQTT-SN's, which the harness takes out before the wire can do it harm.
 *
 *   payload = DEVICE ' ' boot ' ' number ' ' padding       padding: number * 7 % 60 bytes, the i-th is number * 31 + i * 17, modulo 256
 *   report  = 0B FD 'A' boot:4 number:4                    big-endian; the message of this number was acknowledged
 *             0B FD 'R' boot:4 number:4                    it was refused
 *             0B FD 'T' boot:4 time:4                      the time came to be known; Unix ms / 1024
 *
 * Topics go round: two names and a short one.
 */
#define HEADWATER_IMPLEMENTATION
#include "headwater.h"

#include "board.h"

/* A binary is made once; the harness writes the boot's number behind the mark of a copy, for there is nothing that outlives a reset. */
static const volatile struct plan {
  uint8_t mark[8];
  uint8_t boot[4];
} plan = {{'H', 'W', 'B', 'O', 'O', 'T', '0', '1'}, {0, 0, 0, 0}};

static hw_client hw;
static hw_topic topics[] = {
    HW_TOPIC("plant/" DEVICE "/even"),
    HW_TOPIC("plant/" DEVICE "/odd"),
    HW_SHORT(INITIAL, '/'),
};
static uint32_t number;
static bool is_answered = true;

static void report(uint8_t kind, uint32_t value) {
  uint8_t head[11];
  uint8_t i;
  head[1] = 0xFD;
  head[2] = kind;
  for (i = 0; i < 4; i++) head[3 + i] = plan.boot[i];
  hwi_put_u16(head + 7, (uint16_t)(value >> 16));
  hwi_put_u16(head + 9, (uint16_t)value);
  hwi_send(&hw, head, 11, NULL, 0);
}

static void on_result(void *context, hw_action action, hw_topic *topic, hw_result result) {
  (void)context;
  (void)action;
  (void)topic;
  report(result == HW_ACKNOWLEDGED ? 'A' : 'R', number);
  is_answered = true;
}

static uint8_t *put_number(uint8_t *to, uint32_t value) {
  uint8_t digits[10];
  uint8_t n = 0;
  do {
    digits[n++] = (uint8_t)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  while (n > 0) *to++ = digits[--n];
  *to++ = ' ';
  return to;
}

static void publish(void) {
  static const char name[] = DEVICE " ";
  uint8_t payload[HW_PAYLOAD_MAX];
  uint8_t *to = payload;
  uint8_t i;
  uint32_t boot = (uint32_t)plan.boot[0] << 24 | (uint32_t)plan.boot[1] << 16 | (uint32_t)plan.boot[2] << 8 | plan.boot[3];
  number++;
  for (i = 0; name[i] != 0; i++) *to++ = (uint8_t)name[i];
  to = put_number(to, boot);
  to = put_number(to, number);
  for (i = 0; i < number * 7 % 60; i++) *to++ = (uint8_t)(number * 31 + i * 17u);
  is_answered = false;
  hw_publish(&hw, &topics[number % 3], payload, (size_t)(to - payload), HW_QOS_1);
}

static const hw_config config = {
    .client_id = DEVICE,
    .keep_alive_s = 5,
    .write = board_write,
    .now_ms = board_now_ms,
    .on_result = on_result,
};

int main(void) {
  bool is_time_told = false;
  board_start();
  hw_start(&hw, &config);
  hw_sync_time(&hw);
  hw_connect(&hw);
  for (;;) {
    uint8_t byte;
    while (board_read(&byte)) hw_receive(&hw, &byte, 1);
    hw_poll(&hw);
    if (is_answered) publish();
    if (!is_time_told && hw_time_ms(&hw) != 0) {
      is_time_told = true;
      report('T', (uint32_t)(hw_time_ms(&hw) >> 10));
    }
    board_wait();
  }
}
