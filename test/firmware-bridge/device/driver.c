/*
 * headwater.h under control of a test: a command a line on standard input, what came of it on standard output, then "ok". The clock is the
 * test's, so that a run is the same each time.
 *
 *   new ID KEEP_ALIVE [resume]      hw_start: a device that lost its memory        topic I name TEXT | id N | short AB
 *   now MS · in HEX · poll          connect · disconnect · sleep S · wake · time   pub I FLAGS HEX · sub I QOS · unsub I · cancel
 *   answer R                        what on_message returns                        accept R    what on_topic returns
 *   read                            state, dropped, repeated, busy, due, unix ms, trusted
 *   of I                            whether the last message is of this topic
 *   garbage SEED N                  hw_receive of so many random bytes, in pieces
 *
 *   out HEX · state N · result ACTION TOPIC RESULT · message TYPE ID FLAGS HEX · name ID TEXT · error N · value ...
 */
#define HEADWATER_IMPLEMENTATION
#include "headwater.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOPICS = 8, LINE = 4096 };

static hw_client hw;
static hw_config config;
static hw_topic topics[TOPICS];
static char names[TOPICS][256];
static char client_id[64];
static uint32_t clock_ms;
static hw_message last_message;
static hw_result message_answer = HW_ACKNOWLEDGED;
static hw_result name_answer = HW_ACKNOWLEDGED;

static void print_hex(const uint8_t *bytes, size_t n) {
  size_t i;
  for (i = 0; i < n; i++) printf("%02x", bytes[i]);
}

static size_t read_hex(const char *text, uint8_t *bytes, size_t size) {
  size_t n = 0;
  unsigned byte;
  while (n < size && sscanf(text + 2 * n, "%2x", &byte) == 1) bytes[n++] = (uint8_t)byte;
  return n;
}

static void on_write(void *context, const uint8_t *bytes, size_t n) {
  (void)context;
  printf("out ");
  print_hex(bytes, n);
  printf("\n");
}

static uint32_t on_now(void *context) {
  (void)context;
  return clock_ms;
}

static void on_state(void *context, hw_state state) {
  (void)context;
  printf("state %d\n", (int)state);
}

static void on_result(void *context, hw_action action, hw_topic *topic, hw_result result) {
  (void)context;
  printf("result %d %d %d\n", (int)action, (int)(topic - topics), (int)result);
}

static hw_result on_message(void *context, const hw_message *message) {
  (void)context;
  last_message = *message;
  printf("message %d %d %d ", message->topic_type, message->topic_id, message->flags);
  print_hex(message->payload, message->length);
  printf("\n");
  return message_answer;
}

static hw_result on_topic(void *context, uint16_t id, const char *name, uint8_t length) {
  (void)context;
  printf("name %d %.*s\n", id, length, name);
  return name_answer;
}

static void new_device(const char *arguments) {
  unsigned keep_alive = 0;
  memset(&config, 0, sizeof config);
  if (sscanf(arguments, "%63s %u", client_id, &keep_alive) < 1) exit(2);
  config.client_id = client_id;
  config.keep_alive_s = (uint16_t)keep_alive;
  config.resume = strstr(arguments, " resume") != NULL;
  config.write = on_write;
  config.now_ms = on_now;
  config.on_state = on_state;
  config.on_result = on_result;
  config.on_message = on_message;
  config.on_topic = on_topic;
#if HW_WITH_WILL
  config.will_topic = "will/topic";
  config.will_message = "gone";
  config.will_flags = HW_QOS_1 | HW_RETAIN;
#endif
  memset(&hw, 0xA5, sizeof hw);
  hw_start(&hw, &config);
}

static void new_topic(const char *arguments) {
  static const hw_topic named = HW_TOPIC("");
  static const hw_topic predefined = HW_PREDEFINED(0);
  static const hw_topic two = HW_SHORT('a', 'b');
  int i = atoi(arguments);
  const char *kind = strchr(arguments, ' ') + 1;
  const char *value = strchr(kind, ' ') + 1;
  if (*kind == 'n') {
    snprintf(names[i], sizeof names[i], "%s", value);
    topics[i] = named;
    topics[i].name = names[i];
  } else if (*kind == 'i') {
    topics[i] = predefined;
    topics[i].id = (uint16_t)atoi(value);
  } else {
    topics[i] = two;
    topics[i].id = (uint16_t)(value[0] << 8 | value[1]);
  }
}

static void publish(const char *arguments) {
  unsigned i, flags;
  char hex[LINE] = "";
  uint8_t *bytes = malloc(LINE / 2);
  size_t n;
  hw_error error;
  sscanf(arguments, "%u %u %4095s", &i, &flags, hex);
  n = read_hex(hex, bytes, LINE / 2);
  /* a heap block of just its size: a read behind it is found */
  bytes = realloc(bytes, n == 0 ? 1 : n);
  error = hw_publish(&hw, &topics[i], bytes, n, (uint8_t)flags);
  free(bytes);
  printf("error %d\n", (int)error);
}

static void receive(const char *hex) {
  uint8_t *bytes = malloc(LINE / 2);
  size_t n = read_hex(hex, bytes, LINE / 2);
  bytes = realloc(bytes, n == 0 ? 1 : n);
  hw_receive(&hw, bytes, n);
  free(bytes);
}

/* xorshift32; every fourth byte or so is a delimiter or a small number, so that frames and lengths come about. */
static void garbage(const char *arguments) {
  uint32_t x = 1, left = 0;
  sscanf(arguments, "%u %u", &x, &left);
  x |= 1;
  while (left > 0) {
    uint8_t piece[64];
    uint32_t n = 0, size;
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    size = x % sizeof piece + 1;
    if (size > left) size = left;
    for (; n < size; n++) {
      x ^= x << 13, x ^= x >> 17, x ^= x << 5;
      piece[n] = (uint8_t)((x & 0x300) == 0 ? (x >> 16) % 9 : x >> 16);
    }
    hw_receive(&hw, piece, size);
    hw_poll(&hw);
    clock_ms += 7;
    left -= size;
  }
}

static void report(void) {
  printf("value %u %u %u %u %u %llu %u\n", hw.state, hw.dropped, hw.repeated, hw_is_busy(&hw), (unsigned)hw_due_ms(&hw),
         (unsigned long long)hw_time_ms(&hw), hw_is_time_trusted(&hw));
}

int main(void) {
  static char line[LINE];
  while (fgets(line, sizeof line, stdin) != NULL) {
    char *arguments = line + strcspn(line, " \n");
    line[strcspn(line, "\n")] = 0;
    if (*arguments != 0) *arguments++ = 0;
    if (!strcmp(line, "new")) new_device(arguments);
    else if (!strcmp(line, "topic")) new_topic(arguments);
    else if (!strcmp(line, "now")) clock_ms = (uint32_t)strtoul(arguments, NULL, 10);
    else if (!strcmp(line, "in")) receive(arguments);
    else if (!strcmp(line, "poll")) hw_poll(&hw);
    else if (!strcmp(line, "connect")) hw_connect(&hw);
    else if (!strcmp(line, "disconnect")) hw_disconnect(&hw);
    else if (!strcmp(line, "sleep")) printf("error %d\n", (int)hw_sleep(&hw, (uint16_t)atoi(arguments)));
    else if (!strcmp(line, "wake")) printf("error %d\n", (int)hw_wake(&hw));
    else if (!strcmp(line, "time")) hw_sync_time(&hw);
    else if (!strcmp(line, "pub")) publish(arguments);
    else if (!strcmp(line, "sub")) hw_subscribe(&hw, &topics[atoi(arguments)], (uint8_t)atoi(strchr(arguments, ' ')));
    else if (!strcmp(line, "unsub")) hw_unsubscribe(&hw, &topics[atoi(arguments)]);
    else if (!strcmp(line, "cancel")) hw_cancel(&hw);
    else if (!strcmp(line, "answer")) message_answer = (hw_result)atoi(arguments);
    else if (!strcmp(line, "accept")) name_answer = (hw_result)atoi(arguments);
    else if (!strcmp(line, "garbage")) garbage(arguments);
    else if (!strcmp(line, "of")) printf("value %d\n", hw_is_of(&last_message, &topics[atoi(arguments)]));
    else if (!strcmp(line, "read")) report();
    else exit(2);
    printf("ok\n");
    fflush(stdout);
  }
  return 0;
}
