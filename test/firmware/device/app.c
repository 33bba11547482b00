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
 *
 * With DOWN it takes commands, too, and a device that was reset goes on with the session of before:
 *
 *   command = number:4 padding                           to "cmd/" DEVICE, QoS 1; big-endian, padding as above
 *   report  = 0B FD 'S' boot:4 connection:4                it is subscribed, for the first time in this connection
 *             0B FD 'C' boot:4 number:4                    the command of this number came; before its PUBACK
 *             0B FD 'X' boot:4 length:4                    one came that is none
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
#if DOWN
static hw_topic commands = HW_TOPIC("cmd/" DEVICE);
#endif
static uint32_t number;
static bool is_answered = true;

static uint32_t boot_number(void) {
  return (uint32_t)plan.boot[0] << 24 | (uint32_t)plan.boot[1] << 16 | (uint32_t)plan.boot[2] << 8 | plan.boot[3];
}

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
  (void)topic;
#if DOWN
  if (action == HW_SUBSCRIBED) {
    report(result == HW_ACKNOWLEDGED ? 'S' : 'X', hw.connection);
    return;
  }
#endif
  (void)action;
  report(result == HW_ACKNOWLEDGED ? 'A' : 'R', number);
  is_answered = true;
}

#if DOWN
static hw_result on_message(void *context, const hw_message *message) {
  const uint8_t *from = message->payload;
  uint32_t command;
  uint8_t i;
  bool is_good = message->length >= 4;
  (void)context;
  if (!hw_is_of(message, &commands)) return HW_INVALID_TOPIC;
  command = (uint32_t)hwi_u16(from) << 16 | hwi_u16(from + 2);
  if (is_good) is_good = message->length == 4 + command * 7 % 60;
  for (i = 4; is_good && i < message->length; i++) is_good = from[i] == (uint8_t)(command * 31 + (i - 4u) * 17u);
  report(is_good ? 'C' : 'X', is_good ? command : message->length);
  return HW_ACKNOWLEDGED;
}
#endif

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
  uint32_t boot = boot_number();
  number++;
  for (i = 0; name[i] != 0; i++) *to++ = (uint8_t)name[i];
  to = put_number(to, boot);
  to = put_number(to, number);
  for (i = 0; i < number * 7 % 60; i++) *to++ = (uint8_t)(number * 31 + i * 17u);
  is_answered = false;
  hw_publish(&hw, &topics[number % 3], payload, (size_t)(to - payload), HW_QOS_1);
}

static hw_config config = {
    .client_id = DEVICE,
    .keep_alive_s = 5,
    .write = board_write,
    .now_ms = board_now_ms,
    .on_result = on_result,
#if DOWN
    .on_message = on_message,
#endif
};

int main(void) {
  bool is_time_told = false;
  board_start();
#if DOWN
  config.resume = boot_number() > 1;
#endif
  hw_start(&hw, &config);
#if DOWN
  /* what a device that goes on would have kept: ids of this boot are others than those of the last */
  hw.message_id = (uint16_t)(boot_number() << 10);
  hw_subscribe(&hw, &commands, HW_QOS_1);
#endif
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
