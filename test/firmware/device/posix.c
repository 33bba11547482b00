/* The board that this machine is: its UART is standard input and output. */
#include "board.h"
#include "serial.h"

#include <stdlib.h>

static uint8_t ring[256];
static int ring_n, ring_at;

void board_start(void) { serial_open("-"); }

static void fill(int ms) {
  int n;
  if (ring_at < ring_n) return;
  n = serial_read(ring, sizeof ring, ms);
  if (n < 0) exit(0);
  ring_at = 0;
  ring_n = n;
}

bool board_read(uint8_t *byte) {
  fill(0);
  if (ring_at == ring_n) return false;
  *byte = ring[ring_at++];
  return true;
}

void board_write(void *context, const uint8_t *bytes, size_t n) { serial_write(context, bytes, n); }

uint32_t board_now_ms(void *context) { return serial_now_ms(context); }

void board_wait(void) { fill(1); }
