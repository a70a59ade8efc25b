/* What the journal keeps of a command: its payload, its end, and what tells the device how to
 * answer.
 *
 * In a record with RECORD_COMMAND this stands in the place of the payload, numbers little-endian:
 * the command's end in Unix seconds (8 bytes; 0 for none), the length of the properties (4), the
 * properties, the payload. A property is its identifier of MQTT 5 (1), its length (2), its value.
 *
 * Mosquitto does not show a plugin the message expiry, so the end is a user property, EXPIRES_AT. */

#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include <mosquitto.h>
#if LIBMOSQUITTO_VERSION_NUMBER < 2001000 /* from then on, all is in the one above */
#include <mosquitto_broker.h>
#endif

#include "record.h"

#define EXPIRES_AT "expires-at"

struct command {
    uint64_t expires_at;            /* Unix seconds, 0 for never */
    mosquitto_property *properties; /* free or hand on */
    const void *payload;
    uint32_t payload_length;
};

/* Makes the message's payload, with the rest; to be freed. NULL with errno set. */
uint8_t *command_pack(const struct mosquitto_evt_message *message, uint32_t *length);

/* Reads it back; the payload points into the record. False if it is none, or memory is out. */
bool command_unpack(const struct record *record, struct command *command);

#endif
