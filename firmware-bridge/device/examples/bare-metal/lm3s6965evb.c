/*
 * Cortex-M3: TI Stellaris LM3S6965 evaluation board, which QEMU has as lm3s6965evb. UART0 (a PL011) and SysTick, without any vendor's
 * library. On the real board UART0's pins are those of the debug USB port.
 */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define RCGC1 REGISTER(0x400FE104) /* clocks of UARTs */
#define RCGC2 REGISTER(0x400FE108) /* and of ports */
#define GPIOA_AFSEL REGISTER(0x40004420)
#define GPIOA_DEN REGISTER(0x4000451C)
#define UART_DR REGISTER(0x4000C000)
#define UART_FR REGISTER(0x4000C018)
#define UART_IBRD REGISTER(0x4000C024)
#define UART_FBRD REGISTER(0x4000C028)
#define UART_LCRH REGISTER(0x4000C02C)
#define UART_CTL REGISTER(0x4000C030)
#define UART_IM REGISTER(0x4000C038)
#define UART_ICR REGISTER(0x4000C044)
#define SYST_CSR REGISTER(0xE000E010)
#define SYST_RVR REGISTER(0xE000E014)
#define SYST_CVR REGISTER(0xE000E018)
#define NVIC_ISER0 REGISTER(0xE000E100)

enum { CLOCK_HZ = 12500000, BAUD = 115200, UART0_IRQ = 5 };
enum { FR_RECEIVE_EMPTY = 1 << 4, FR_SEND_FULL = 1 << 5, INTERRUPT_RECEIVE = 1 << 4, INTERRUPT_TIMEOUT = 1 << 6 };

/* a power of two */
#define RING_BYTES 256u

static volatile uint8_t ring[RING_BYTES];
static volatile uint32_t ring_in, ring_out;
static volatile uint32_t ticks;

void SysTick_Handler(void) { ticks++; }

void UART0_Handler(void) {
  UART_ICR = INTERRUPT_RECEIVE | INTERRUPT_TIMEOUT;
  while (!(UART_FR & FR_RECEIVE_EMPTY)) {
    uint8_t byte = (uint8_t)UART_DR;
    /* full: the frame fails its CRC and is repeated */
    if (ring_in - ring_out < RING_BYTES) ring[ring_in++ % RING_BYTES] = byte;
  }
}

void board_start(void) {
  RCGC1 |= 1;
  RCGC2 |= 1;
  GPIOA_AFSEL |= 3;
  GPIOA_DEN |= 3;
  UART_CTL = 0;
  /* divisor in 64ths of CLOCK_HZ / 16 */
  UART_IBRD = CLOCK_HZ * 4u / BAUD / 64;
  UART_FBRD = CLOCK_HZ * 4u / BAUD % 64;
  UART_LCRH = 0x70; /* 8N1, FIFOs on */
  UART_IM = INTERRUPT_RECEIVE | INTERRUPT_TIMEOUT;
  UART_CTL = 0x301;
  NVIC_ISER0 = 1u << UART0_IRQ;
  SYST_RVR = CLOCK_HZ / 1000 - 1;
  SYST_CVR = 0;
  SYST_CSR = 7;
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
    while (UART_FR & FR_SEND_FULL) {}
    UART_DR = *bytes++;
  }
}

uint32_t board_now_ms(void *context) {
  (void)context;
  return ticks;
}

void board_wait(void) { __asm volatile("wfi"); }

/* ---- Start-up ---- */

extern uint32_t image_data[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];
int main(void);

void Reset_Handler(void) {
  uint32_t *from = image_data;
  uint32_t *to;
  for (to = data_start; to < data_end; to++) *(volatile uint32_t *)to = *from++;
  for (to = bss_start; to < bss_end; to++) *(volatile uint32_t *)to = 0;
  main();
  for (;;) {}
}

static void Fault_Handler(void) {
  for (;;) {}
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16 + UART0_IRQ + 1])(void) = {
    [0] = (void (*)(void))(uintptr_t)stack_top,
    [1] = Reset_Handler,
    [2] = Fault_Handler,
    [3] = Fault_Handler,
    [15] = SysTick_Handler,
    [16 + UART0_IRQ] = UART0_Handler,
};
