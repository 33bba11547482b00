/* As much of Arduino's library as the example sketch uses, so that a compiler can check it where Arduino is not installed. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct Port {
  void begin(unsigned long) {}
  int available() { return 0; }
  int read() { return -1; }
  size_t write(const uint8_t *, size_t n) { return n; }
};

static Port Serial;
enum { OUTPUT = 1, LOW = 0, HIGH = 1, LED_BUILTIN = 13, A0 = 14 };

static inline void pinMode(int, int) {}
static inline void digitalWrite(int, int) {}
static inline int analogRead(int) { return 512; }
static inline uint32_t millis() { return 0; }
static inline char *itoa(int, char *text, int) {
  text[0] = '7';
  text[1] = 0;
  return text;
}
