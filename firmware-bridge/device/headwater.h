/*
 * headwater.h: a device's side of MQTT-SN 1.2, over a UART or UDP. One header, C99 (and C++), no malloc, no operating system, no libc.
 * Part of Headwater; Apache-2.0.
 *
 * In one file of the firmware:            In all others:
 *     #define HEADWATER_IMPLEMENTATION        #include "headwater.h"
 *     #include "headwater.h"
 *
 * EXAMPLE
 *
 *     static uint32_t now_ms(void *context) { return board_now_ms(); }
 *     static void write(void *context, const uint8_t *bytes, size_t n) { uart_write(bytes, n); }
 *
 *     static const hw_config config = {.client_id = "greenhouse-7", .keep_alive_s = 30, .write = write, .now_ms = now_ms};
 *     static hw_client hw;
 *     static hw_topic temperature = HW_TOPIC("plant/greenhouse-7/temperature");
 *
 *     int main(void) {
 *       uint8_t byte;
 *       hw_start(&hw, &config);
 *       hw_connect(&hw);
 *       for (;;) {
 *         while (uart_read(&byte)) hw_receive(&hw, &byte, 1);
 *         hw_poll(&hw);
 *         if (sample_is_due() && !hw_is_busy(&hw))
 *           hw_publish(&hw, &temperature, "21.5", 4, HW_QOS_1);
 *       }
 *     }
 *
 * Nothing here waits. hw_receive takes what came over the wire, hw_poll is called often (every few milliseconds, or when hw_due_ms has
 * passed), and callbacks tell what happened. All is to be called from one context: an interrupt puts its bytes into a queue of the
 * firmware's. Callbacks may call everything but hw_receive and hw_poll.
 *
 * ACKNOWLEDGED (HW_ACKNOWLEDGED in on_result, QoS 1) means that the message is on the broker's disk. Until then the library keeps it,
 * repeats it with DUP and the same message id, over congestion, lost gateways and reconnections, and the gateway takes it once. A
 * message that was under way when the device lost its memory may be there or not; a first CONNECT is clean, so that message ids that
 * begin anew are not taken for those of before. QoS 0 is sent once and forgotten.
 *
 * ON THE WIRE
 *
 *     stream   = { delimiter frame delimiter }          ; two delimiters in a row are nothing
 *     delimiter= 0x00
 *     frame    = COBS( message crc )                    ; no byte of it is 0x00
 *     crc      = 2 bytes, big-endian                    ; CRC-16/CCITT-FALSE of message: poly 0x1021, init 0xFFFF; "123456789" is 0x29B1
 *     message  = length type fields                     ; MQTT-SN 1.2; length counts itself, 2 to HW_MTU
 *
 *     PINGREQ:  message 02 16, crc 09 9A  ->  00 05 02 16 09 9A 00
 *
 * A frame that fails COBS or CRC, is longer than HW_MTU or than its length byte says, is dropped and counted (hw_client.dropped). With
 * HW_BARE a message is a datagram, without frame and CRC.
 *
 * Time: PUBLISH to the predefined topic 0xFF00 with t1, the device's milliseconds; the answer on 0xFF01 is t1 t2 t3 [trust], 8 bytes
 * each, big-endian, t2 and t3 Unix milliseconds; trust is 1 where the gateway's own clock is synchronized.
 *
 * STATES (hw_state, told by on_state)
 *
 *                 hw_connect               CONNACK                   hw_sleep
 *     HW_OFF ---------------> HW_CONNECTING ------> HW_CONNECTED ----------------> HW_ASLEEP <-----+
 *        ^                      ^      ^              |    |                        |   | hw_wake  | PINGRESP
 *        |  hw_disconnect       |      +--------------+    |                        |   v          |
 *        +----------------------|--------------------------+                        | HW_AWAKE ----+
 *                               +-----------------------------------------------------+ hw_connect, or the gateway is lost
 *
 * CONNECTED -> CONNECTING: HW_RETRIES repetitions were not answered, or the gateway sent DISCONNECT. The library connects again by itself,
 * with waits that double up to HW_RECONNECT_MS_MAX, subscribes again and repeats the message in flight. HW_REFUSED is CONNECTING to
 * a gateway that said no; it is asked again each HW_RECONNECT_MS_MAX.
 *
 * MEMORY (sizeof(hw_client) at HW_MTU 128, all features but the will; firmware-bridge/device/README.md has it measured): under 3 kB of
 * flash and 400 B of RAM on a Cortex-M0+; each topic of the firmware is a hw_topic of 16 B more.
 */
#ifndef HEADWATER_H
#define HEADWATER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What may be set before the header is included ---- */

/** Longest message, both ways, in bytes; not above what the bridge has for the link (messageBytesMax). */
#ifndef HW_MTU
#define HW_MTU 128
#endif
/** First wait for an answer, ms; it doubles with each repetition ... */
#ifndef HW_RETRY_MS
#define HW_RETRY_MS 500
#endif
/** ... up to this. */
#ifndef HW_RETRY_MS_MAX
#define HW_RETRY_MS_MAX 8000
#endif
/** Repetitions without an answer after which the gateway is taken for lost (N_retry). */
#ifndef HW_RETRIES
#define HW_RETRIES 6
#endif
/** Longest wait between two attempts to connect, ms. */
#ifndef HW_RECONNECT_MS_MAX
#define HW_RECONNECT_MS_MAX 30000
#endif
/** Wait after an answer "congestion" (T_wait), ms; less than the keep alive. */
#ifndef HW_CONGESTION_MS
#define HW_CONGESTION_MS 2000
#endif
/** Between two requests for the time, once hw_sync_time was called, ms. */
#ifndef HW_TIME_EVERY_MS
#define HW_TIME_EVERY_MS 3600000
#endif
/** 1: bare messages, one a datagram; 0: frames on a serial line. */
#ifndef HW_BARE
#define HW_BARE 0
#endif
/** What is compiled in. */
#ifndef HW_WITH_WILL
#define HW_WITH_WILL 0
#endif
#ifndef HW_WITH_SUBSCRIBE
#define HW_WITH_SUBSCRIBE 1
#endif
#ifndef HW_WITH_SLEEP
#define HW_WITH_SLEEP 1
#endif
#ifndef HW_WITH_TIME
#define HW_WITH_TIME 1
#endif

#if HW_MTU < 40 || HW_MTU > 252
#error "HW_MTU is 40 to 252: with its CRC a message is one block of COBS"
#endif

/** Longest payload of a message. */
#define HW_PAYLOAD_MAX (HW_MTU - 7)
/** Longest name of a topic; a longer one made at run time is cut. */
#define HW_NAME_MAX (HW_MTU - 6)

/* ---- Types ---- */

typedef enum hw_state {
  HW_OFF,
  HW_CONNECTING,
  HW_REFUSED,
  HW_CONNECTED,
  HW_ASLEEP,
  HW_AWAKE
} hw_state;

/** Of a call: whether it was taken. */
typedef enum hw_error {
  HW_OK,
  /** A message is in flight (publish), or something is under way (sleep): again later. */
  HW_BUSY,
  /** More than HW_PAYLOAD_MAX. */
  HW_TOO_LONG,
  /** Not in this state. */
  HW_NOT_NOW
} hw_error;

/** Of what was taken: the gateway's answer. */
typedef enum hw_result {
  HW_ACKNOWLEDGED,
  HW_CONGESTED,
  HW_INVALID_TOPIC,
  HW_NOT_SUPPORTED
} hw_result;

typedef enum hw_action { HW_PUBLISHED, HW_SUBSCRIBED, HW_UNSUBSCRIBED } hw_action;

/** Of hw_publish and hw_subscribe; as in MQTT-SN's flags. */
#define HW_QOS_0 0x00
#define HW_QOS_1 0x20
#define HW_RETAIN 0x10

/** Must live as long as it is used: the library keeps pointers to it, and what it knows of it in it. */
typedef struct hw_topic {
  /** NULL for predefined ids and short names. */
  const char *name;
  struct hw_topic *next;
  uint16_t id;
  /** The connections in which the id was given and in which it was subscribed to; 0: none. */
  uint16_t registered;
  uint16_t subscribed;
  /** MQTT-SN's TopicIdType. */
  uint8_t type;
  uint8_t flags;
} hw_topic;

#define HW_TOPIC_NORMAL 0
#define HW_TOPIC_PREDEFINED 1
#define HW_TOPIC_SHORT 2

/** By name, such as "plant/7/temperature"; to subscribe also "plant/+/set" and "plant/#". It is registered when it is first needed. */
#define HW_TOPIC(text) {(text) + 0 * sizeof(char[sizeof(text) <= HW_NAME_MAX + 1 ? 1 : -1]), NULL, 0, 0, 0, HW_TOPIC_NORMAL, 0}
/** By a number that the bridge's configuration gives a name (topics.predefined). */
#define HW_PREDEFINED(number) {NULL, NULL, (number), 0, 0, HW_TOPIC_PREDEFINED, 0}
/** A topic whose whole name is two characters. */
#define HW_SHORT(first, second) {NULL, NULL, (uint16_t)((uint16_t)(uint8_t)(first) << 8 | (uint8_t)(second)), 0, 0, HW_TOPIC_SHORT, 0}

/** Valid during on_message only. */
typedef struct hw_message {
  const uint8_t *payload;
  uint8_t length;
  /** HW_QOS_1, HW_RETAIN and DUP (0x80). */
  uint8_t flags;
  uint8_t topic_type;
  uint16_t topic_id;
} hw_message;

typedef struct hw_config {
  /** 1 to 23 characters, one a device. */
  const char *client_id;
  /** Without a message for so long a PINGREQ is sent; 0: never, and a lost gateway is found by the next QoS 1 message. */
  uint16_t keep_alive_s;
  /** The first CONNECT goes on with the session of before the reset. Only for a device that keeps hw_client.message_id over a reset, and sets it after hw_start. */
  bool resume;
  /** Handed to all callbacks. */
  void *context;

  /** Puts bytes on the wire (HW_BARE: one datagram). May drop them: they are repeated. */
  void (*write)(void *context, const uint8_t *bytes, size_t n);
  /** Milliseconds since any moment, wrapping after 2^32. */
  uint32_t (*now_ms)(void *context);

  /* Those below may be NULL. */
  void (*on_state)(void *context, hw_state state);
  /** QoS 1 and subscriptions: what became of it. The next message may be published from here. */
  void (*on_result)(void *context, hw_action action, hw_topic *topic, hw_result result);
#if HW_WITH_SUBSCRIBE
  /** HW_ACKNOWLEDGED: taken. HW_CONGESTED: not now, the gateway repeats it. HW_INVALID_TOPIC: the gateway tells the id's name first. */
  hw_result (*on_message)(void *context, const hw_message *message);
  /** The id of a name that a wildcard matched, before the first message with it; the library keeps no list. The name is not terminated. */
  hw_result (*on_topic)(void *context, uint16_t id, const char *name, uint8_t length);
#endif
#if HW_WITH_WILL
  /** Published by the broker when the device is lost without a DISCONNECT; NULL: none. */
  const char *will_topic;
  const char *will_message;
  /** HW_QOS_1, HW_RETAIN. */
  uint8_t will_flags;
#endif
} hw_config;

/** The library's; to be read: state, dropped, repeated, message_id. Bytes first: a Cortex-M0+ reaches the first 32 of them in one instruction. */
typedef struct hw_client {
  uint8_t state;
  /** MQTT-SN's type of what waits for an answer; HWI_NOTHING. */
  uint8_t asked;
  uint8_t tries;
  /** The message in flight. */
  uint8_t out_n;
  uint8_t out_flags;
  bool is_clean;
#if HW_WITH_TIME
  /** 0: never asked for; 1: asked, no answer yet; 2: known, not trusted; 3: trusted. */
  uint8_t time_trust;
  bool is_time_asked;
#endif
#if !HW_BARE
  uint8_t in_n;
  uint8_t in_code;
  uint8_t in_left;
#endif
  /** The last that was given away. */
  uint16_t message_id;
  uint16_t asked_id;
  /** 0: not sent yet. */
  uint16_t out_id;
  /** Of CONNACKs so far; ids of topics are of one of them. */
  uint16_t connection;
  /** Frames received in vain, and messages sent again. */
  uint16_t dropped;
  uint16_t repeated;
#if HW_WITH_SUBSCRIBE
  /** Of the last message that was taken. */
  uint16_t in_id;
#endif
#if HW_WITH_SLEEP
  uint16_t sleep_s;
#endif
  const hw_config *config;
  /** What waits for an answer is for this topic. */
  hw_topic *topic;
  /** Of the message in flight; NULL: none. */
  hw_topic *out_topic;
  uint32_t sent_at;
  uint32_t received_at;
  /** When what waits for an answer was sent last, and how long it waits. */
  uint32_t asked_at;
  uint32_t wait_ms;
  /** Before the next CONNECT. */
  uint32_t backoff_ms;
#if HW_WITH_SUBSCRIBE
  hw_topic *topics;
#endif
#if HW_WITH_TIME
  uint32_t time_asked_at;
  uint32_t time_wait_ms;
  uint32_t unix_at;
  uint64_t unix_ms;
#endif
#if !HW_BARE
  uint8_t in[HW_MTU + 2];
#endif
  uint8_t out[HW_PAYLOAD_MAX];
} hw_client;

/* ---- Functions ---- */

/** Once, before all others. */
void hw_start(hw_client *hw, const hw_config *config);
/** Begins to connect, and goes on until it is; also out of sleep. */
void hw_connect(hw_client *hw);
/** Says goodbye (no will is published) and stays away. */
void hw_disconnect(hw_client *hw);

/** Takes bytes as they come, any number (HW_BARE: one datagram). */
void hw_receive(hw_client *hw, const void *bytes, size_t n);
/** Repeats, keeps alive, reconnects. */
void hw_poll(hw_client *hw);
/** Milliseconds until hw_poll has something to do, unless bytes come before: for a device that halts in between. The time is asked for when it is called. */
uint32_t hw_due_ms(const hw_client *hw);

/**
 * Takes a copy. QoS 1: one is in flight at a time; it may be given before the device is connected. QoS 0 goes at once; if it cannot, it takes
 * the place of the one in flight until it can.
 */
hw_error hw_publish(hw_client *hw, hw_topic *topic, const void *payload, size_t n, uint8_t flags);
/** A message waits to be acknowledged: hw_publish with QoS 1 would say HW_BUSY. */
bool hw_is_busy(const hw_client *hw);
/** Forgets the message in flight. It may have arrived, or still arrive. */
void hw_cancel(hw_client *hw);

#if HW_WITH_SUBSCRIBE
/** Now and after each reconnection, until hw_unsubscribe. Any number can be asked for at once, at any time. */
void hw_subscribe(hw_client *hw, hw_topic *topic, uint8_t qos);
void hw_unsubscribe(hw_client *hw, hw_topic *topic);
/** Whether the message is of this topic (no wildcards). */
bool hw_is_of(const hw_message *message, const hw_topic *topic);
#endif

#if HW_WITH_SLEEP
/** The gateway keeps messages for so long; HW_ASLEEP comes with its answer. hw_wake, hw_connect must be called before the time is over. */
hw_error hw_sleep(hw_client *hw, uint16_t seconds);
/** Asks for what the gateway kept: HW_AWAKE, messages, HW_ASLEEP. */
hw_error hw_wake(hw_client *hw);
#endif

#if HW_WITH_TIME
/** Asks for the time, now or once connected, and then every HW_TIME_EVERY_MS. */
void hw_sync_time(hw_client *hw);
/** Unix time in ms; 0 while it is not known. */
uint64_t hw_time_ms(const hw_client *hw);
/** The gateway's clock was synchronized when it answered. */
bool hw_is_time_trusted(const hw_client *hw);
#endif

#ifdef __cplusplus
}
#endif
#endif /* HEADWATER_H */

#if defined(HEADWATER_IMPLEMENTATION) && !defined(HEADWATER_IMPLEMENTED)
#define HEADWATER_IMPLEMENTED

#ifdef __cplusplus
extern "C" {
#endif

/* Called from several places, or with much on the stack: 200 B of flash less than where the compiler decides. */
#if defined(__GNUC__)
#define HWI_APART static __attribute__((noinline))
#else
#define HWI_APART static
#endif

/* MQTT-SN 1.2, 5.2.2 */
enum {
  HWI_CONNECT = 0x04,
  HWI_CONNACK = 0x05,
  HWI_WILLTOPICREQ = 0x06,
  HWI_WILLTOPIC = 0x07,
  HWI_WILLMSGREQ = 0x08,
  HWI_WILLMSG = 0x09,
  HWI_REGISTER = 0x0A,
  HWI_REGACK = 0x0B,
  HWI_PUBLISH = 0x0C,
  HWI_PUBACK = 0x0D,
  HWI_SUBSCRIBE = 0x12,
  HWI_SUBACK = 0x13,
  HWI_UNSUBSCRIBE = 0x14,
  HWI_UNSUBACK = 0x15,
  HWI_PINGREQ = 0x16,
  HWI_PINGRESP = 0x17,
  HWI_DISCONNECT = 0x18,
  HWI_NOTHING = 0xFF
};

/* MQTT-SN 1.2, 5.3.4 */
enum { HWI_DUP = 0x80, HWI_QOS = 0x60, HWI_WILL = 0x08, HWI_CLEAN = 0x04, HWI_TYPE = 0x03 };

/* hw_topic.flags, beside the QoS */
enum { HWI_LEAVING = 0x01 };

#define HWI_TIME_REQUEST 0xFF00
#define HWI_TIME_ANSWER 0xFF01

HWI_APART uint16_t hwi_u16(const uint8_t *at) { return (uint16_t)((uint16_t)at[0] << 8 | at[1]); }

static void hwi_put_u16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

/* Longer ones are cut, for no message is longer than HW_MTU; HW_TOPIC does not compile with them. */
static uint8_t hwi_length(const char *text) {
  uint8_t n = 0;
  if (text != NULL)
    while (n < HW_NAME_MAX && text[n] != 0) n++;
  return n;
}

static uint32_t hwi_now(const hw_client *hw) { return hw->config->now_ms(hw->config->context); }

#if !HW_BARE
/* CRC-16/CCITT-FALSE, a byte at a time without a table. */
static uint16_t hwi_crc(uint16_t crc, uint8_t byte) {
  crc = (uint16_t)(crc >> 8 | crc << 8);
  crc ^= byte;
  crc ^= (uint16_t)((crc & 0xFF) >> 4);
  crc ^= (uint16_t)(crc << 12);
  crc ^= (uint16_t)((crc & 0xFF) << 5);
  return crc;
}
#endif

/* Sends head and body as one message, in one write; head[0] is set here. */
static void hwi_send(hw_client *hw, uint8_t *head, uint8_t head_n, const uint8_t *body, uint8_t body_n) {
#if HW_BARE
  uint8_t wire[HW_MTU];
  uint8_t *to = wire;
#else
  uint8_t wire[HW_MTU + 5];
  uint8_t *to = wire + 2;
  uint16_t crc = 0xFFFF;
  uint8_t *at;
  uint8_t code = 1;
#endif
  head[0] = (uint8_t)(head_n + body_n);
  for (; head_n > 0; head_n--) *to++ = *head++;
  for (; body_n > 0; body_n--) *to++ = *body++;
#if !HW_BARE
  for (at = wire + 2; at < to; at++) crc = hwi_crc(crc, *at);
  hwi_put_u16(to, crc);
  to += 2;
  /* COBS where it lies, from the end: each zero becomes the distance to the next; the byte before all is the first of them */
  wire[1] = 0;
  for (at = to - 1; at > wire; at--) {
    if (*at == 0) {
      *at = code;
      code = 0;
    }
    code++;
  }
  wire[0] = 0;
  *to++ = 0;
#endif
  hw->sent_at = hwi_now(hw);
  hw->config->write(hw->config->context, wire, (size_t)(to - wire));
}

HWI_APART void hwi_send_text(hw_client *hw, uint8_t *head, uint8_t head_n, const char *text) {
  hwi_send(hw, head, head_n, (const uint8_t *)text, hwi_length(text));
}

static void hwi_set_state(hw_client *hw, hw_state state) {
  if (hw->state == (uint8_t)state) return;
  hw->state = (uint8_t)state;
  if (hw->config->on_state != NULL) hw->config->on_state(hw->config->context, state);
}

/* 0 is no id. */
HWI_APART uint16_t hwi_next(uint16_t number) { return number == 0xFFFF ? 1 : (uint16_t)(number + 1); }

static uint16_t hwi_new_id(hw_client *hw) { return hw->message_id = hwi_next(hw->message_id); }

static void hwi_send_publish(hw_client *hw, const hw_topic *topic, uint16_t id, uint8_t flags, const uint8_t *payload,
                             uint8_t n) {
  uint8_t head[7];
  head[1] = HWI_PUBLISH;
  head[2] = (uint8_t)(flags | topic->type);
  hwi_put_u16(head + 3, topic->id);
  hwi_put_u16(head + 5, id);
  hwi_send(hw, head, 7, payload, n);
}

/* Sends what waits for an answer: the first time, or again. */
static void hwi_transmit(hw_client *hw) {
  const hw_config *config = hw->config;
  const hw_topic *topic = hw->topic;
  const char *text = NULL;
  uint8_t asked = hw->asked;
  uint8_t head[7];
  uint8_t head_n = 6;
  uint8_t dup = hw->tries > 0 ? HWI_DUP : 0;
  if (dup) hw->repeated++;
  head[1] = asked;
  if (asked == HWI_PUBLISH) {
    hwi_send_publish(hw, topic, hw->asked_id, hw->out_flags, hw->out, hw->out_n);
    /* from now on it may have arrived */
    hw->out_flags |= HWI_DUP;
  } else {
    if (asked == HWI_CONNECT) {
      head[2] = hw->is_clean ? HWI_CLEAN : 0;
#if HW_WITH_WILL
      if (config->will_topic != NULL) head[2] |= HWI_WILL;
#endif
      head[3] = 1; /* ProtocolId */
      hwi_put_u16(head + 4, config->keep_alive_s);
      text = config->client_id;
    } else if (asked == HWI_REGISTER) {
      hwi_put_u16(head + 2, 0);
      hwi_put_u16(head + 4, hw->asked_id);
      text = topic->name;
#if HW_WITH_SUBSCRIBE
    } else if (asked == HWI_SUBSCRIBE || asked == HWI_UNSUBSCRIBE) {
      head[2] = topic->type;
      if (asked == HWI_SUBSCRIBE) head[2] = (uint8_t)(dup | (topic->flags & HWI_QOS) | topic->type);
      hwi_put_u16(head + 3, hw->asked_id);
      hwi_put_u16(head + 5, topic->id);
      text = topic->name;
      head_n = text == NULL ? 7 : 5;
#endif
    } else {
      /* PINGREQ, DISCONNECT */
      head_n = 2;
      if (hw->state == HW_AWAKE) text = config->client_id;
#if HW_WITH_SLEEP
      if (asked == HWI_DISCONNECT && hw->sleep_s > 0) {
        hwi_put_u16(head + 2, hw->sleep_s);
        head_n = 4;
      }
#endif
    }
    hwi_send_text(hw, head, head_n, text);
  }
  hw->asked_at = hw->sent_at;
}

HWI_APART void hwi_ask(hw_client *hw, uint8_t type, hw_topic *topic, uint16_t id) {
  hw->asked = type;
  hw->topic = topic;
  hw->asked_id = id;
  hw->tries = 0;
  hw->wait_ms = HW_RETRY_MS;
  hwi_transmit(hw);
}

/* What is to be done next, where nothing waits for an answer: subscriptions first, then the message. */
static void hwi_go_on(hw_client *hw) {
  hw_topic *topic;
  if (hw->asked != HWI_NOTHING || hw->state != HW_CONNECTED) return;
#if HW_WITH_SUBSCRIBE
  for (topic = hw->topics; topic != NULL; topic = topic->next) {
    if (topic->flags & HWI_LEAVING) {
      hwi_ask(hw, HWI_UNSUBSCRIBE, topic, hwi_new_id(hw));
      return;
    }
    if (topic->subscribed != hw->connection) {
      hwi_ask(hw, HWI_SUBSCRIBE, topic, hwi_new_id(hw));
      return;
    }
  }
#endif
  topic = hw->out_topic;
  if (topic == NULL) return;
  if (topic->name != NULL && topic->registered != hw->connection) {
    hwi_ask(hw, HWI_REGISTER, topic, hwi_new_id(hw));
  } else if (hw->out_flags & HWI_QOS) {
    if (hw->out_id == 0) hw->out_id = hwi_new_id(hw);
    hwi_ask(hw, HWI_PUBLISH, topic, hw->out_id);
  } else {
    hw->out_topic = NULL;
    hwi_send_publish(hw, topic, 0, hw->out_flags, hw->out, hw->out_n);
  }
}

/* hw_poll sends the CONNECT when it is due. */
static void hwi_reconnect(hw_client *hw) {
  hw->asked = HWI_CONNECT;
  hw->asked_at = hwi_now(hw);
  hw->wait_ms = hw->backoff_ms;
  hwi_set_state(hw, HW_CONNECTING);
}

/* "Congestion" is an answer: the gateway is there, and what was asked is repeated after a while, as often as it takes. */
static void hwi_hold(hw_client *hw, uint32_t ms) {
  hw->asked_at = hwi_now(hw);
  hw->wait_ms = ms;
  hw->tries = 0;
}

#if HW_WITH_TIME
static void hwi_ask_time(hw_client *hw) {
  static const hw_topic topic = HW_PREDEFINED(HWI_TIME_REQUEST);
  uint8_t t1[8];
  hw->time_asked_at = hwi_now(hw);
  hw->is_time_asked = true;
  hwi_put_u16(t1, 0);
  hwi_put_u16(t1 + 2, 0);
  hwi_put_u16(t1 + 4, (uint16_t)(hw->time_asked_at >> 16));
  hwi_put_u16(t1 + 6, (uint16_t)hw->time_asked_at);
  hwi_send_publish(hw, &topic, 0, 0, t1, 8);
}

static uint32_t hwi_u32(const uint8_t *at) { return (uint32_t)hwi_u16(at) << 16 | hwi_u16(at + 2); }

/* payload: t1 t2 t3 [trust] */
static void hwi_time_answer(hw_client *hw, const uint8_t *payload, uint8_t n) {
  uint32_t now = hwi_now(hw);
  uint32_t way;
  if (n < 24 || !hw->is_time_asked || hwi_u32(payload + 4) != hw->time_asked_at) return;
  /* there and back, without the time at the gateway */
  way = (now - hw->time_asked_at) - (hwi_u32(payload + 20) - hwi_u32(payload + 12));
  /* less than none: the device's clock ticks more coarsely, or the gateway's was set meanwhile */
  if (way >> 31) way = 0;
  hw->unix_ms = ((uint64_t)hwi_u32(payload + 16) << 32 | hwi_u32(payload + 20)) + way / 2;
  hw->unix_at = now;
  hw->is_time_asked = false;
  hw->time_wait_ms = HW_TIME_EVERY_MS;
  hw->time_trust = n > 24 && payload[24] == 1 ? 3 : 2;
}
#endif

#if HW_WITH_SUBSCRIBE
static void hwi_acknowledge(hw_client *hw, uint8_t type, const uint8_t *ids, hw_result result) {
  uint8_t head[7];
  uint8_t i;
  head[1] = type;
  for (i = 0; i < 4; i++) head[2 + i] = ids[i];
  head[6] = (uint8_t)result;
  hwi_send(hw, head, 7, NULL, 0);
}

static void hwi_registered(hw_client *hw, const uint8_t *message, uint8_t n) {
  hw_result result = HW_ACKNOWLEDGED;
  const char *name = (const char *)message + 6;
  uint8_t name_n = (uint8_t)(n - 6);
  hw_topic *topic;
  for (topic = hw->topics; topic != NULL; topic = topic->next) {
    uint8_t i = 0;
    if (topic->name == NULL) continue;
    while (i < name_n && topic->name[i] == name[i] && name[i] != 0) i++;
    if (i == name_n && topic->name[i] == 0) break;
  }
  if (topic != NULL) topic->id = hwi_u16(message + 2);
  else if (hw->config->on_topic != NULL)
    result = hw->config->on_topic(hw->config->context, hwi_u16(message + 2), name, name_n);
  hwi_acknowledge(hw, HWI_REGACK, message + 2, result);
}
#endif

#if HW_WITH_SUBSCRIBE || HW_WITH_TIME
static void hwi_message(hw_client *hw, const uint8_t *bytes, uint8_t n) {
  hw_message message;
  message.payload = bytes + 7;
  message.length = (uint8_t)(n - 7);
  message.flags = bytes[2];
  message.topic_type = bytes[2] & HWI_TYPE;
  message.topic_id = hwi_u16(bytes + 3);
#if HW_WITH_TIME
  if (message.topic_type == HW_TOPIC_PREDEFINED && message.topic_id == HWI_TIME_ANSWER) {
    hwi_time_answer(hw, message.payload, message.length);
    return;
  }
#endif
#if HW_WITH_SUBSCRIBE
  {
    hw_result result = HW_NOT_SUPPORTED;
    uint16_t id = hwi_u16(bytes + 5);
    bool is_again = (message.flags & HWI_DUP) && id == hw->in_id;
    /* one that was taken before: its acknowledgement was lost */
    if (is_again) result = HW_ACKNOWLEDGED;
    else if (hw->config->on_message != NULL) result = hw->config->on_message(hw->config->context, &message);
    if (message.flags & HWI_QOS) {
      if (result == HW_ACKNOWLEDGED) hw->in_id = id;
    } else if (result != HW_INVALID_TOPIC) {
      return;
    }
    hwi_acknowledge(hw, HWI_PUBACK, bytes + 3, result);
  }
#endif
}
#endif

static void hwi_connected(hw_client *hw) {
  hw->asked = HWI_NOTHING;
  hw->is_clean = false;
  hw->connection = hwi_next(hw->connection);
#if HW_WITH_SUBSCRIBE
  /* a gateway that began anew may give the same id to another message */
  hw->in_id = 0;
#endif
  hwi_set_state(hw, HW_CONNECTED);
  hwi_go_on(hw);
}

#if HW_WITH_SUBSCRIBE
static void hwi_unlink(hw_client *hw) {
  hw_topic **at = &hw->topics;
  /* subscribed to again meanwhile */
  if (!(hw->topic->flags & HWI_LEAVING)) return;
  while (*at != hw->topic) at = &(*at)->next;
  *at = hw->topic->next;
}
#endif

/* The answer to what was asked last, and not "congestion". Its type is one more than the question's. */
HWI_APART void hwi_answer(hw_client *hw, const uint8_t *message, uint8_t result) {
  hw_topic *topic = hw->topic;
  uint8_t asked = hw->asked;
  bool is_good = result == HW_ACKNOWLEDGED;
  hw_action action = HW_PUBLISHED;
  if (asked == HWI_CONNECT) {
    if (is_good) {
      hwi_connected(hw);
    } else {
      hwi_hold(hw, HW_RECONNECT_MS_MAX);
      hwi_set_state(hw, HW_REFUSED);
    }
    return;
  }
  if (asked == HWI_PUBLISH && result == HW_INVALID_TOPIC && topic->name != NULL) {
    /* the gateway has lost the ids of this connection, this one or all: each is registered again when it is next needed */
    hw->connection = hwi_next(hw->connection);
    hw->asked = HWI_REGISTER;
    hw->asked_id = hwi_new_id(hw);
    hwi_hold(hw, HW_RETRY_MS);
    return;
  }
  hw->asked = HWI_NOTHING;
  hw->backoff_ms = HW_RETRY_MS;
  if (asked == HWI_PINGREQ) {
    if (hw->state == HW_AWAKE) hwi_set_state(hw, HW_ASLEEP);
    hwi_go_on(hw);
    return;
  }
  if (is_good && asked == HWI_REGISTER) {
    topic->id = hwi_u16(message + 2);
    topic->registered = hw->connection;
    hwi_go_on(hw);
    return;
  }
#if HW_WITH_SUBSCRIBE
  if (asked == HWI_SUBSCRIBE) {
    action = HW_SUBSCRIBED;
    /* one that was turned down is not asked for again in this connection */
    topic->subscribed = hw->connection;
    /* a wildcard has id 0 */
    if (topic->name != NULL) {
      topic->id = hwi_u16(message + 3);
      if (topic->id != 0) topic->registered = hw->connection;
    }
  } else if (asked == HWI_UNSUBSCRIBE) {
    action = HW_UNSUBSCRIBED;
    hwi_unlink(hw);
  } else
#endif
    hw->out_topic = NULL;
  if (hw->config->on_result != NULL) hw->config->on_result(hw->config->context, action, topic, (hw_result)result);
  hwi_go_on(hw);
}

/* The gateway said DISCONNECT, or nothing for too long: a device that wants to go goes. */
static void hwi_disconnected(hw_client *hw) {
  if (hw->asked != HWI_DISCONNECT) {
    if (hw->state == HW_CONNECTED || hw->state == HW_AWAKE) hwi_reconnect(hw);
    return;
  }
  hw->asked = HWI_NOTHING;
#if HW_WITH_SLEEP
  if (hw->sleep_s > 0) {
    hwi_set_state(hw, HW_ASLEEP);
    return;
  }
#endif
  hwi_set_state(hw, HW_OFF);
}

/*
 * Whether it is the answer to what was asked last; all others are late, and nothing becomes of them. Where there is a result it is the last
 * byte, and the message id, where there is one, stands before it.
 */
static bool hwi_is_answer(const hw_client *hw, const uint8_t *message, uint8_t n) {
  /* of CONNACK, REGACK, PUBACK, SUBACK, UNSUBACK and PINGRESP, by what asked for them */
  static const uint8_t lengths[] = {3, 0, 0, 0, 0, 0, 7, 0, 7, 0, 0, 0, 0, 0, 8, 0, 4, 0, 2, 0, 0};
  if (message[1] != hw->asked + 1 || n != lengths[hw->asked - HWI_CONNECT]) return false;
  return n < 4 || hwi_u16(message + (n == 4 ? 2 : n - 3)) == hw->asked_id;
}

/* One message that passed the checks of the wire. */
HWI_APART void hwi_handle(hw_client *hw, const uint8_t *message, uint8_t n) {
  uint8_t type = message[1];
  hw->received_at = hwi_now(hw);
  if (hwi_is_answer(hw, message, n)) {
    uint8_t result = n == 2 || n == 4 ? (uint8_t)HW_ACKNOWLEDGED : message[n - 1];
    if (result == HW_CONGESTED) hwi_hold(hw, HW_CONGESTION_MS);
    else hwi_answer(hw, message, result);
  } else if (type == HWI_DISCONNECT) {
    hwi_disconnected(hw);
  } else if (type == HWI_PINGREQ) {
    uint8_t head[2];
    head[1] = HWI_PINGRESP;
    hwi_send(hw, head, 2, NULL, 0);
#if HW_WITH_WILL
  } else if (hw->asked == HWI_CONNECT) {
    uint8_t head[3];
    head[1] = (uint8_t)(type + 1);
    head[2] = hw->config->will_flags;
    if (hw->config->will_topic == NULL) return;
    if (type == HWI_WILLTOPICREQ) hwi_send_text(hw, head, 3, hw->config->will_topic);
    if (type == HWI_WILLMSGREQ) hwi_send_text(hw, head, 2, hw->config->will_message);
#endif
  } else if (n >= 7 && (hw->state == HW_CONNECTED || hw->state == HW_AWAKE)) {
#if HW_WITH_SUBSCRIBE || HW_WITH_TIME
    if (type == HWI_PUBLISH) hwi_message(hw, message, n);
#endif
#if HW_WITH_SUBSCRIBE
    if (type == HWI_REGISTER) hwi_registered(hw, message, n);
#endif
    /* of a message with QoS 0: which one is not told */
    if (type == HWI_PUBACK && message[6] == HW_INVALID_TOPIC && hw->asked != HWI_PUBLISH)
      hw->connection = hwi_next(hw->connection);
  }
}

#if HW_BARE
void hw_receive(hw_client *hw, const void *bytes, size_t n) {
  const uint8_t *message = (const uint8_t *)bytes;
  if (n < 2 || n > HW_MTU || message[0] != n) hw->dropped++;
  else hwi_handle(hw, message, (uint8_t)n);
}
#else
static void hwi_frame_end(hw_client *hw) {
  uint8_t n = hw->in_n;
  uint16_t crc = 0xFFFF;
  uint8_t i;
  bool is_good = hw->in_left == 0 && n >= 4 && n <= HW_MTU + 2 && hw->in[0] == n - 2;
  bool is_nothing = hw->in_code == 0;
  hw->in_n = 0;
  hw->in_code = 0;
  hw->in_left = 0;
  if (is_nothing) return;
  /* over message and crc it comes to 0 */
  for (i = 0; is_good && i < n; i++) crc = hwi_crc(crc, hw->in[i]);
  if (is_good && crc == 0) hwi_handle(hw, hw->in, (uint8_t)(n - 2));
  else hw->dropped++;
}

static void hwi_keep(hw_client *hw, uint8_t byte) {
  if (hw->in_n < HW_MTU + 2) hw->in[hw->in_n] = byte;
  /* one too many is enough to know */
  if (hw->in_n <= HW_MTU + 2) hw->in_n++;
}

void hw_receive(hw_client *hw, const void *bytes, size_t n) {
  const uint8_t *at = (const uint8_t *)bytes;
  for (; n > 0; n--) {
    uint8_t byte = *at++;
    if (byte == 0) hwi_frame_end(hw);
    else if (hw->in_left == 0) {
      /* the zero between two blocks, but after a full one */
      if (hw->in_code != 0 && hw->in_code != 0xFF) hwi_keep(hw, 0);
      hw->in_code = byte;
      hw->in_left = (uint8_t)(byte - 1);
    } else {
      hwi_keep(hw, byte);
      hw->in_left--;
    }
  }
}
#endif

void hw_start(hw_client *hw, const hw_config *config) {
  uint8_t *at = (uint8_t *)hw;
  uint8_t *end = at + sizeof *hw;
  while (at < end) *at++ = 0;
  hw->config = config;
  hw->asked = HWI_NOTHING;
  hw->is_clean = !config->resume;
  hw->backoff_ms = HW_RETRY_MS;
}

void hw_connect(hw_client *hw) {
  if (hw->state != HW_OFF && hw->state != HW_ASLEEP) return;
  hw->received_at = hwi_now(hw);
  hwi_set_state(hw, HW_CONNECTING);
  hwi_ask(hw, HWI_CONNECT, NULL, 0);
}

void hw_disconnect(hw_client *hw) {
#if HW_WITH_SLEEP
  hw->sleep_s = 0;
#endif
  if (hw->state == HW_CONNECTED) {
    hwi_ask(hw, HWI_DISCONNECT, NULL, 0);
  } else {
    hw->asked = HWI_NOTHING;
    hwi_set_state(hw, HW_OFF);
  }
}

/* Not answered: again after twice the time. @returns false: often enough */
static bool hwi_repeat(hw_client *hw) {
  uint32_t ms_max = HW_RETRY_MS_MAX;
  if (hw->asked == HWI_CONNECT) ms_max = HW_RECONNECT_MS_MAX;
  else if (hw->tries >= HW_RETRIES) return false;
  if (hw->tries < 0xFF) hw->tries++;
  hw->wait_ms *= 2;
  if (hw->wait_ms > ms_max) hw->wait_ms = ms_max;
  if (hw->asked == HWI_CONNECT) hw->backoff_ms = hw->wait_ms;
  hwi_transmit(hw);
  return true;
}

#if HW_WITH_TIME
static void hwi_time_poll(hw_client *hw) {
  uint32_t now = hwi_now(hw);
  if (hw->time_trust == 0) return;
  /* before 32 bits of milliseconds come round */
  hw->unix_ms += now - hw->unix_at;
  hw->unix_at = now;
  if (hw->state != HW_CONNECTED || now - hw->time_asked_at < hw->time_wait_ms) return;
  /* without an answer: after twice the time */
  hw->time_wait_ms *= 2;
  if (hw->time_wait_ms < HW_RETRY_MS_MAX) hw->time_wait_ms = HW_RETRY_MS_MAX;
  if (hw->time_wait_ms > HW_TIME_EVERY_MS) hw->time_wait_ms = HW_TIME_EVERY_MS;
  hwi_ask_time(hw);
}
#endif

static uint32_t hwi_left(uint32_t now, uint32_t since, uint32_t wait) {
  return now - since >= wait ? 0 : wait - (now - since);
}

uint32_t hw_due_ms(const hw_client *hw) {
  uint32_t now = hwi_now(hw);
  uint32_t due = UINT32_MAX;
  uint32_t other = due;
  if (hw->asked != HWI_NOTHING) {
    due = hwi_left(now, hw->asked_at, hw->wait_ms);
  } else if (hw->state == HW_CONNECTED && hw->config->keep_alive_s != 0) {
    /* nothing sent: the gateway is to hear of us; nothing received: we of the gateway */
    uint32_t keep_alive_ms = (uint32_t)hw->config->keep_alive_s * 1000;
    due = hwi_left(now, hw->sent_at, keep_alive_ms);
    other = hwi_left(now, hw->received_at, keep_alive_ms);
  }
  return due < other ? due : other;
}

static void hwi_due(hw_client *hw) {
  if (hw->asked == HWI_NOTHING) {
    hwi_ask(hw, HWI_PINGREQ, NULL, 0);
  } else if (!hwi_repeat(hw)) {
    hwi_disconnected(hw);
  }
}

void hw_poll(hw_client *hw) {
  if (hw_due_ms(hw) == 0) hwi_due(hw);
#if HW_WITH_TIME
  hwi_time_poll(hw);
#endif
}

hw_error hw_publish(hw_client *hw, hw_topic *topic, const void *payload, size_t n, uint8_t flags) {
  const uint8_t *from = (const uint8_t *)payload;
  uint8_t i;
  if (n > HW_PAYLOAD_MAX) return HW_TOO_LONG;
  if (!(flags & HWI_QOS) && hw->state == HW_CONNECTED &&
      (topic->name == NULL || topic->registered == hw->connection)) {
    hwi_send_publish(hw, topic, 0, flags, from, (uint8_t)n);
    return HW_OK;
  }
  if (hw->out_topic != NULL) return HW_BUSY;
  for (i = 0; i < n; i++) ((volatile uint8_t *)hw->out)[i] = from[i]; /* or compilers call memcpy */
  hw->out_n = (uint8_t)n;
  hw->out_flags = flags;
  hw->out_id = 0;
  hw->out_topic = topic;
  /* a PINGREQ may stay without its answer: this asks for one */
  if (hw->asked == HWI_PINGREQ && hw->state == HW_CONNECTED) hw->asked = HWI_NOTHING;
  hwi_go_on(hw);
  return HW_OK;
}

bool hw_is_busy(const hw_client *hw) { return hw->out_topic != NULL; }

void hw_cancel(hw_client *hw) {
  hw->out_topic = NULL;
  if (hw->asked == HWI_PUBLISH || hw->asked == HWI_REGISTER) hw->asked = HWI_NOTHING;
  hwi_go_on(hw);
}

#if HW_WITH_SUBSCRIBE
void hw_subscribe(hw_client *hw, hw_topic *topic, uint8_t qos) {
  hw_topic **at = &hw->topics;
  while (*at != NULL && *at != topic) at = &(*at)->next;
  if (*at == NULL) {
    *at = topic;
    topic->next = NULL;
  }
  topic->flags = qos & HWI_QOS;
  topic->subscribed = 0;
  hwi_go_on(hw);
}

void hw_unsubscribe(hw_client *hw, hw_topic *topic) {
  topic->flags |= HWI_LEAVING;
  hwi_go_on(hw);
}

bool hw_is_of(const hw_message *message, const hw_topic *topic) {
  return message->topic_type == topic->type && message->topic_id == topic->id;
}
#endif

#if HW_WITH_SLEEP
hw_error hw_sleep(hw_client *hw, uint16_t seconds) {
  if (hw->state != HW_CONNECTED || seconds == 0) return HW_NOT_NOW;
  if (hw->asked != HWI_NOTHING) return HW_BUSY;
  hw->sleep_s = seconds;
  hwi_ask(hw, HWI_DISCONNECT, NULL, 0);
  return HW_OK;
}

hw_error hw_wake(hw_client *hw) {
  if (hw->state != HW_ASLEEP) return HW_NOT_NOW;
  hwi_set_state(hw, HW_AWAKE);
  hwi_ask(hw, HWI_PINGREQ, NULL, 0);
  return HW_OK;
}
#endif

#if HW_WITH_TIME
void hw_sync_time(hw_client *hw) {
  if (hw->time_trust == 0) hw->time_trust = 1;
  hw->time_wait_ms = 0;
}

uint64_t hw_time_ms(const hw_client *hw) {
  return hw->time_trust > 1 ? hw->unix_ms + (hwi_now(hw) - hw->unix_at) : 0;
}

bool hw_is_time_trusted(const hw_client *hw) { return hw->time_trust == 3; }
#endif

#ifdef __cplusplus
}
#endif
#endif /* HEADWATER_IMPLEMENTATION */
