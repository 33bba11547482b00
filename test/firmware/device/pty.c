/*
 * A serial port for the bridge: a pseudo-terminal under the name given, its other end on standard input and output. It stays while nobody has
 * it open, as a port does whose program was killed; what comes meanwhile goes nowhere.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static void pass(int to, const char *bytes, ssize_t n) {
  while (n > 0) {
    ssize_t written = write(to, bytes, (size_t)n);
    if (written <= 0) return;
    bytes += written;
    n -= written;
  }
}

int main(int argc, char **argv) {
  struct termios raw;
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  int slave;
  if (argc != 2 || master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return 1;
  slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  if (slave < 0 || tcgetattr(slave, &raw) != 0) return 1;
  cfmakeraw(&raw);
  tcsetattr(slave, TCSANOW, &raw);
  close(slave);
  unlink(argv[1]);
  if (symlink(ptsname(master), argv[1]) != 0) return 1;
  for (;;) {
    char bytes[4096];
    ssize_t n;
    struct pollfd ends[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = master, .events = POLLIN}};
    if (poll(ends, 2, -1) < 0) return 1;
    int is_open = !(ends[1].revents & POLLHUP);
    if (ends[1].revents & POLLIN) {
      n = read(master, bytes, sizeof bytes);
      if (n > 0) pass(STDOUT_FILENO, bytes, n);
    }
    if (ends[0].revents & (POLLIN | POLLHUP)) {
      n = read(STDIN_FILENO, bytes, sizeof bytes);
      if (n <= 0) {
        unlink(argv[1]);
        return 0;
      }
      if (is_open) pass(master, bytes, n);
    }
    /* nothing tells when it is opened again */
    if (!is_open) usleep(1000);
  }
}
