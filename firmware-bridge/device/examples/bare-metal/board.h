/*
 * All that main.c wants of a board: a UART, a millisecond clock, and a way to wait. A port to another microcontroller is one file with these.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* UART at 115200 baud, 8N1, receive interrupt into a ring; a tick each millisecond. */
void board_start(void);
/* A byte that came, if one did. */
bool board_read(uint8_t *byte);
/* For hw_config. */
void board_write(void *context, const uint8_t *bytes, size_t n);
uint32_t board_now_ms(void *context);
/* Halts until the next interrupt: a byte, or the tick. */
void board_wait(void);

#endif
