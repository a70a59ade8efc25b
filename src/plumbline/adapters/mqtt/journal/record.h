/* Records of the journal.
 *
 * A record, numbers little-endian: "PUJ1", CRC-32 of all that follows it, generation (8 bytes),
 * payload length (4), topic length (2; 0 in a mark), QoS and flags (1), zero (1), topic, payload
 * (of a command, what command.h says). The generation is random: a payload that looks like records
 * cannot know it. */

#ifndef RECORD_H
#define RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RECORD_MAGIC "PUJ1"
#define RECORD_QOS 3
#define RECORD_RETAINED 4
#define RECORD_COMMAND 8

struct record {
    uint64_t generation;
    const char *topic; /* its length counts, not a zero at its end */
    size_t topic_length;
    const void *payload;
    uint32_t payload_length;
    uint8_t flags;
};

/* Writes it there; returns its length, or 0 with errno set. Half a record is none when read. */
size_t record_write(int file, off_t at, const struct record *record);

/* Returns the length of the whole record that begins here, which then points into the data; 0
 * where none does. Another generation's is none; NULL asks for any. */
size_t record_read(
    const uint8_t *data, size_t available, const uint64_t *generation, struct record *record);

#endif
