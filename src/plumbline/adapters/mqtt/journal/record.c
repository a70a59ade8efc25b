/* See record.h. */

#define _GNU_SOURCE
#include "record.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

#define CRC_FROM 8 /* behind the magic and itself */

struct header {
    char magic[4];
    uint32_t crc;
    uint64_t generation;
    uint32_t payload_length;
    uint16_t topic_length;
    uint8_t flags;
    uint8_t zero;
};
_Static_assert(sizeof(struct header) == 24, "the format has no padding");

/* CRC-32 as in zlib; begin with 0 and hand the result on. */
static uint32_t crc32(uint32_t crc, const void *data, size_t length)
{
    static uint32_t table[256];
    if (table[1] == 0) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t value = byte;
            for (int bit = 0; bit < 8; bit++)
                value = value & 1 ? value >> 1 ^ 0xEDB88320u : value >> 1;
            table[byte] = value;
        }
    }
    const uint8_t *byte = data;
    crc = ~crc;
    while (length--)
        crc = table[(crc ^ *byte++) & 0xFF] ^ crc >> 8;
    return ~crc;
}

size_t record_write(int file, off_t at, const struct record *record)
{
    struct header header = {
        .generation = htole64(record->generation),
        .payload_length = htole32(record->payload_length),
        .topic_length = htole16((uint16_t)record->topic_length),
        .flags = record->flags,
    };
    memcpy(header.magic, RECORD_MAGIC, sizeof header.magic);
    uint32_t crc = crc32(0, (uint8_t *)&header + CRC_FROM, sizeof header - CRC_FROM);
    crc = crc32(crc, record->topic, record->topic_length);
    header.crc = htole32(crc32(crc, record->payload, record->payload_length));
    struct iovec parts[] = {
        {&header, sizeof header},
        {(void *)record->topic, record->topic_length},
        {(void *)record->payload, record->payload_length},
    };
    size_t length = sizeof header + record->topic_length + record->payload_length;
    ssize_t written = pwritev(file, parts, 3, at);
    if (written >= 0 && (size_t)written < length)
        errno = ENOSPC;
    return written == (ssize_t)length ? length : 0;
}

size_t record_read(
    const uint8_t *data, size_t available, const uint64_t *generation, struct record *record)
{
    struct header header;
    if (available < sizeof header || memcmp(data, RECORD_MAGIC, sizeof header.magic) != 0)
        return 0;
    memcpy(&header, data, sizeof header);
    *record = (struct record){
        .generation = le64toh(header.generation),
        .topic = (const char *)data + sizeof header,
        .topic_length = le16toh(header.topic_length),
        .payload = data + sizeof header + le16toh(header.topic_length),
        .payload_length = le32toh(header.payload_length),
        .flags = header.flags,
    };
    size_t length = sizeof header + record->topic_length + record->payload_length;
    if (length > available || (generation != NULL && record->generation != *generation))
        return 0;
    return crc32(0, data + CRC_FROM, length - CRC_FROM) == le32toh(header.crc) ? length : 0;
}
