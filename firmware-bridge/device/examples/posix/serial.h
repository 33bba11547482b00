/*
 * The same as bare-metal/board.h where there is an operating system: a serial port, a pseudo-terminal, or, with "-", standard input and output.
 */
#ifndef SERIAL_H
#define SERIAL_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int serial_in = STDIN_FILENO, serial_out = STDOUT_FILENO;

/* 115200 baud, 8N1, raw. */
static bool serial_open(const char *path) {
  struct termios settings;
  if (strcmp(path, "-") == 0) return true;
  serial_in = serial_out = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (serial_in < 0 || tcgetattr(serial_in, &settings) != 0) return false;
  settings.c_iflag = 0;
  settings.c_oflag = 0;
  settings.c_lflag = 0;
  settings.c_cflag = CS8 | CREAD | CLOCAL;
  settings.c_cc[VMIN] = 1;
  settings.c_cc[VTIME] = 0;
  cfsetispeed(&settings, B115200);
  cfsetospeed(&settings, B115200);
  return tcsetattr(serial_in, TCSANOW, &settings) == 0;
}

/* Waits until bytes come or the time is over. Returns how many came; -1: the port is gone. */
static int serial_read(uint8_t *bytes, size_t size, int ms) {
  struct pollfd descriptor = {.fd = serial_in, .events = POLLIN};
  ssize_t n;
  if (poll(&descriptor, 1, ms) <= 0) return 0;
  n = read(serial_in, bytes, size);
  if (n > 0) return (int)n;
  return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* A frame that does not go out whole is repeated by the library. */
static void serial_write(void *context, const uint8_t *bytes, size_t n) {
  (void)context;
  while (n > 0) {
    ssize_t written = write(serial_out, bytes, n);
    if (written > 0) {
      bytes += written;
      n -= (size_t)written;
    } else if (errno == EAGAIN) {
      struct pollfd descriptor = {.fd = serial_out, .events = POLLOUT};
      if (poll(&descriptor, 1, 100) <= 0) return;
    } else if (errno != EINTR) {
      return;
    }
  }
}

static uint32_t serial_now_ms(void *context) {
  struct timespec now;
  (void)context;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

#endif
