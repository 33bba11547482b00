/*
 * Eclipse Paho for C, as devices have it, driven by a test: paho_c_client PORT VERSION CLIENT CLEAN
 *
 *   command := "connect" | "subscribe" FILTER QOS | "publish" TOPIC QOS PAYLOAD | "disconnect"      a line each, on stdin
 *   said    := "done" CODE NUMBER | "failed" CODE | "message" TOPIC QOS PAYLOAD | "lost"            a line each, on stdout
 *
 * NUMBER is whether the session was there, the granted QoS, or 0. VERSION is 3, 4 or 5. A session that is not clean stays for an hour.
 */
#include <MQTTClient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 20000

static MQTTClient client;
static int version, clean;

static void said(const char *what, int code, int number) {
  printf("%s %d %d\n", what, code, number);
  fflush(stdout);
}

static int arrived(void *context, char *topic, int topic_length, MQTTClient_message *message) {
  (void)context;
  (void)topic_length;
  printf("message %s %d %.*s\n", topic, message->qos, message->payloadlen, (char *)message->payload);
  fflush(stdout);
  MQTTClient_freeMessage(&message);
  MQTTClient_free(topic);
  return 1;
}

static void lost(void *context, char *cause) {
  (void)context;
  (void)cause;
  printf("lost\n");
  fflush(stdout);
}

static void do_connect(void) {
  if (version < 5) {
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    options.MQTTVersion = version;
    options.cleansession = clean;
    int code = MQTTClient_connect(client, &options);
    said(code == 0 ? "done" : "failed", code, options.returned.sessionPresent);
    return;
  }
  MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer5;
  options.cleanstart = clean;
  MQTTProperties properties = MQTTProperties_initializer;
  MQTTProperty expiry;
  expiry.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL;
  expiry.value.integer4 = clean ? 0 : 3600;
  MQTTProperties_add(&properties, &expiry);
  MQTTResponse response = MQTTClient_connect5(client, &options, &properties, NULL);
  said(response.reasonCode == 0 ? "done" : "failed", response.reasonCode, options.returned.sessionPresent);
  MQTTProperties_free(&properties);
  MQTTResponse_free(response);
}

static void do_subscribe(const char *filter, int qos) {
  if (version < 5) {
    int code = MQTTClient_subscribe(client, filter, qos);
    said(code == 0 ? "done" : "failed", code, qos);
    return;
  }
  MQTTResponse response = MQTTClient_subscribe5(client, filter, qos, NULL, NULL);
  int granted = (int)response.reasonCode;
  said(granted >= 0 && granted <= 2 ? "done" : "failed", granted, granted);
  MQTTResponse_free(response);
}

static void do_publish(const char *topic, int qos, char *payload) {
  MQTTClient_deliveryToken token = 0;
  int length = (int)strlen(payload);
  int code;
  if (version < 5) code = MQTTClient_publish(client, topic, length, payload, qos, 0, &token);
  else {
    MQTTResponse response = MQTTClient_publish5(client, topic, length, payload, qos, 0, NULL, &token);
    code = (int)response.reasonCode;
    MQTTResponse_free(response);
  }
  if (code == 0 && qos > 0) code = MQTTClient_waitForCompletion(client, token, WAIT_MS);
  said(code == 0 ? "done" : "failed", code, 0);
}

static void do_disconnect(void) {
  int code = version < 5 ? MQTTClient_disconnect(client, WAIT_MS)
                         : MQTTClient_disconnect5(client, WAIT_MS, MQTTREASONCODE_SUCCESS, NULL);
  said(code == 0 ? "done" : "failed", code, 0);
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  char address[64], line[4096], name[16], text[1024], payload[2048];
  snprintf(address, sizeof address, "tcp://127.0.0.1:%s", arguments[1]);
  version = atoi(arguments[2]);
  clean = atoi(arguments[4]);
  MQTTClient_createOptions options = MQTTClient_createOptions_initializer;
  options.MQTTVersion = version;
  if (MQTTClient_createWithOptions(&client, address, arguments[3], MQTTCLIENT_PERSISTENCE_NONE, NULL, &options)) return 3;
  if (MQTTClient_setCallbacks(client, NULL, lost, arrived, NULL)) return 4;
  while (fgets(line, sizeof line, stdin) != NULL) {
    int qos = 0;
    payload[0] = '\0';
    if (sscanf(line, "%15s %1023s %d %2047s", name, text, &qos, payload) < 1) continue;
    if (strcmp(name, "connect") == 0) do_connect();
    else if (strcmp(name, "subscribe") == 0) do_subscribe(text, qos);
    else if (strcmp(name, "publish") == 0) do_publish(text, qos, payload);
    else if (strcmp(name, "disconnect") == 0) do_disconnect();
    else return 5;
  }
  MQTTClient_destroy(&client);
  return 0;
}
