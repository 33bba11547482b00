/*
 * AVR: ATmega328P at 16 MHz, as on an Arduino Uno, without Arduino's library. USART0 and TIMER1 (QEMU emulates only 16-bit timers).
 */
#include "board.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

/* 16 MHz / 8 / (16 + 1): 117647 baud, 2.1 % above 115200, as Arduino has it */
enum { BAUD_DIVISOR = 16, TICKS_PER_MS = 250 };

/* a power of two, below 256 */
#define RING_BYTES 64

static volatile uint8_t ring[RING_BYTES];
static volatile uint8_t ring_in, ring_out;
static volatile uint32_t ticks;

ISR(TIMER1_COMPA_vect) { ticks++; }

ISR(USART_RX_vect) {
  uint8_t byte = UDR0;
  /* full: the frame fails its CRC and is repeated */
  if ((uint8_t)(ring_in - ring_out) < RING_BYTES) {
    ring[ring_in % RING_BYTES] = byte;
    ring_in++;
  }
}

void board_start(void) {
  UBRR0 = BAUD_DIVISOR;
  UCSR0A = _BV(U2X0);
  UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
  UCSR0B = _BV(RXCIE0) | _BV(RXEN0) | _BV(TXEN0);
  OCR1A = TICKS_PER_MS - 1;
  TCCR1B = _BV(WGM12) | _BV(CS11) | _BV(CS10); /* cleared on compare, 16 MHz / 64 */
  TIMSK1 = _BV(OCIE1A);
  sei();
}

bool board_read(uint8_t *byte) {
  if (ring_in == ring_out) return false;
  *byte = ring[ring_out % RING_BYTES];
  ring_out++;
  return true;
}

void board_write(void *context, const uint8_t *bytes, size_t n) {
  (void)context;
  for (; n > 0; n--) {
    while (!(UCSR0A & _BV(UDRE0))) {}
    UDR0 = *bytes++;
  }
}

uint32_t board_now_ms(void *context) {
  uint8_t saved = SREG;
  uint32_t now;
  (void)context;
  cli(); /* four bytes are not read in one instruction */
  now = ticks;
  SREG = saved;
  return now;
}

/* Without -DSLEEPS it polls on: the SLEEP of QEMU's AVR (7.2) is executed again after each interrupt, and never left. */
void board_wait(void) {
#ifdef SLEEPS
  sleep_mode();
#endif
}
