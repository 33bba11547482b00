/*
 * Publishes each line of a file, acknowledged, and prints what comes down: for trying a bridge from another computer's serial port.
 *
 *     cc -std=gnu99 -Wall -I../.. main.c -o headwater-line
 *     ./headwater-line /dev/ttyUSB0 greenhouse-7 plant/7/log < readings.txt
 */
#define HEADWATER_IMPLEMENTATION
#include "headwater.h"

#include <stdio.h>
#include <stdlib.h>

#include "serial.h"

static hw_client hw;
static hw_config config = {.keep_alive_s = 30};
static hw_topic topic = HW_TOPIC("");
static hw_topic commands = HW_TOPIC("");
static unsigned long acknowledged;

static void on_state(void *context, hw_state state) {
  static const char *const names[] = {"off", "connecting", "refused", "connected", "asleep", "awake"};
  (void)context;
  fprintf(stderr, "%s\n", names[state]);
}

static void on_result(void *context, hw_action action, hw_topic *of, hw_result result) {
  static const char *const names[] = {"acknowledged", "congested", "invalid topic", "not supported"};
  (void)context;
  if (action == HW_PUBLISHED && result == HW_ACKNOWLEDGED) acknowledged++;
  if (result != HW_ACKNOWLEDGED) fprintf(stderr, "%s: %s\n", of->name, names[result]);
}

static hw_result on_message(void *context, const hw_message *message) {
  (void)context;
  fprintf(stderr, "came: %.*s\n", message->length, (const char *)message->payload);
  return HW_ACKNOWLEDGED;
}

int main(int argc, char **argv) {
  static char name[128], line[HW_PAYLOAD_MAX + 2];
  bool is_over = false;
  if (argc != 4 || strcmp(argv[1], "-") == 0) {
    fprintf(stderr, "usage: %s PORT CLIENT-ID TOPIC < LINES\n", argv[0]);
    return 2;
  }
  if (!serial_open(argv[1])) {
    perror(argv[1]);
    return 1;
  }
  config.client_id = argv[2];
  config.write = serial_write;
  config.now_ms = serial_now_ms;
  config.on_state = on_state;
  config.on_result = on_result;
  config.on_message = on_message;
  topic.name = argv[3];
  snprintf(name, sizeof name, "%s/commands", argv[3]);
  commands.name = name;
  hw_start(&hw, &config);
  hw_subscribe(&hw, &commands, HW_QOS_1);
  hw_connect(&hw);
  while (!is_over || hw_is_busy(&hw)) {
    uint8_t bytes[256];
    int n = serial_read(bytes, sizeof bytes, 20);
    if (n < 0) return 1;
    hw_receive(&hw, bytes, (size_t)n);
    hw_poll(&hw);
    if (is_over || hw_is_busy(&hw)) continue;
    is_over = fgets(line, sizeof line, stdin) == NULL;
    line[strcspn(line, "\n")] = 0;
    if (!is_over) hw_publish(&hw, &topic, line, strlen(line), HW_QOS_1);
  }
  hw_disconnect(&hw);
  fprintf(stderr, "%lu acknowledged\n", acknowledged);
  return 0;
}
