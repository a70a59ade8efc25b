/* See command.h. */

#define _GNU_SOURCE
#include "command.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mqtt_protocol.h>

/* In front of the properties. */
#define END_BYTES 8
#define HEAD_BYTES (END_BYTES + 4)
#define PROPERTY_BYTES 3

/* All that Mosquitto hands on to a subscriber, but for user properties. */
static const int texts[] = {MQTT_PROP_CONTENT_TYPE, MQTT_PROP_RESPONSE_TOPIC};
#define MAX_PROPERTIES 4

struct property {
    int identifier;
    void *value;
    uint16_t length;
};

static uint64_t read_end(const mosquitto_property *properties)
{
    char *name = NULL, *value = NULL;
    uint64_t end = 0;
    const mosquitto_property *found = mosquitto_property_read_string_pair(
        properties, MQTT_PROP_USER_PROPERTY, &name, &value, false);
    while (found != NULL) {
        if (strcmp(name, EXPIRES_AT) == 0)
            end = strtoull(value, NULL, 10);
        free(name);
        free(value);
        found = mosquitto_property_read_string_pair(
            found, MQTT_PROP_USER_PROPERTY, &name, &value, true);
    }
    return end;
}

/* Values are to be freed. */
static int read_properties(const mosquitto_property *from, struct property *properties)
{
    int count = 0;
    uint8_t *format = malloc(1);
    if (format != NULL &&
        mosquitto_property_read_byte(from, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, format, false))
        properties[count++] = (struct property){MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, format, 1};
    else
        free(format);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *text = NULL;
        if (mosquitto_property_read_string(from, texts[i], &text, false))
            properties[count++] = (struct property){texts[i], text, (uint16_t)strlen(text)};
    }
    void *data = NULL;
    uint16_t length;
    if (mosquitto_property_read_binary(from, MQTT_PROP_CORRELATION_DATA, &data, &length, false))
        properties[count++] = (struct property){MQTT_PROP_CORRELATION_DATA, data, length};
    return count;
}

static uint8_t *put(uint8_t *at, const void *from, size_t length)
{
    return length == 0 ? at : (uint8_t *)memcpy(at, from, length) + length;
}

uint8_t *command_pack(const struct mosquitto_evt_message *message, uint32_t *length)
{
    struct property properties[MAX_PROPERTIES];
    int count = read_properties(message->properties, properties);
    uint32_t properties_length = 0;
    for (int i = 0; i < count; i++)
        properties_length += PROPERTY_BYTES + properties[i].length;
    *length = HEAD_BYTES + properties_length + message->payloadlen;
    uint8_t *packed = malloc(*length);
    uint64_t end = htole64(read_end(message->properties));
    uint32_t properties_field = htole32(properties_length);
    uint8_t *at = packed;
    if (packed != NULL) {
        at = put(at, &end, sizeof end);
        at = put(at, &properties_field, sizeof properties_field);
    }
    for (int i = 0; i < count; i++) {
        uint8_t identifier = (uint8_t)properties[i].identifier;
        uint16_t length_field = htole16(properties[i].length);
        if (packed != NULL) {
            at = put(at, &identifier, sizeof identifier);
            at = put(at, &length_field, sizeof length_field);
            at = put(at, properties[i].value, properties[i].length);
        }
        free(properties[i].value);
    }
    if (packed != NULL)
        put(at, message->payload, message->payloadlen);
    else
        errno = ENOMEM;
    return packed;
}

static bool add(
    mosquitto_property **properties, int identifier, const uint8_t *value, uint16_t length)
{
    if (identifier == MQTT_PROP_PAYLOAD_FORMAT_INDICATOR)
        return mosquitto_property_add_byte(properties, identifier, *value) == MOSQ_ERR_SUCCESS;
    if (identifier == MQTT_PROP_CORRELATION_DATA)
        return mosquitto_property_add_binary(properties, identifier, value, length) ==
               MOSQ_ERR_SUCCESS;
    char *text = strndup((const char *)value, length);
    bool added = text != NULL &&
                 mosquitto_property_add_string(properties, identifier, text) == MOSQ_ERR_SUCCESS;
    free(text);
    return added;
}

bool command_unpack(const struct record *record, struct command *command)
{
    const uint8_t *at = record->payload;
    const uint8_t *end = at + record->payload_length;
    uint32_t properties_length;
    *command = (struct command){0};
    if (record->payload_length < HEAD_BYTES)
        return false;
    memcpy(&command->expires_at, at, sizeof command->expires_at);
    command->expires_at = le64toh(command->expires_at);
    memcpy(&properties_length, at + END_BYTES, sizeof properties_length);
    properties_length = le32toh(properties_length);
    at += HEAD_BYTES;
    if (properties_length > (size_t)(end - at))
        return false;
    command->payload = at + properties_length;
    command->payload_length = (uint32_t)(end - at) - properties_length;
    for (end = command->payload; end - at >= PROPERTY_BYTES;) {
        uint16_t length;
        memcpy(&length, at + 1, sizeof length);
        length = le16toh(length);
        if (end - at < PROPERTY_BYTES + length ||
            !add(&command->properties, *at, at + PROPERTY_BYTES, length))
            break;
        at += PROPERTY_BYTES + length;
    }
    if (at != end)
        mosquitto_property_free_all(&command->properties);
    return at == end;
}
