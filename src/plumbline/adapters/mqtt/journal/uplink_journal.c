/*
 * Mosquitto plugin: no uplink is acknowledged before it is in a file.
 *
 * Mosquitto acknowledges a message when it has it in memory, and saves its memory every few
 * seconds. This plugin appends each message on the given topics to a journal first; one that
 * cannot be written ends its connection, unacknowledged. Once the broker has saved, all that the
 * journal holds is in the save, and the journal is emptied. When the broker starts, what the
 * journal holds came after the last save: it is published again, in its order, behind what the
 * save holds and before the first client connects.
 *
 * The broker has one thread. So a save falls between two calls of this plugin, never into one,
 * and never between a call and the moment when the message is in the broker's queues.
 *
 * Options: journal FILE, saved FILE (the broker's own, mosquitto.db), sync true|false (to the disk
 * before each acknowledgement, or to the operating system), reserve BYTES (of the disk, beside what
 * the next save needs: with less, uplinks are refused), uplink FILTER (may be repeated).
 *
 * The journal is one file, written again from its beginning after each save, as that costs least.
 * So its first record is a mark, with a generation; records of another one are leftovers. The
 * generation is random: a payload that looks like records cannot know it. A record, numbers
 * little-endian: "PUJ1", CRC-32 of all that follows it, generation (8 bytes), payload length (4),
 * topic length (2; 0 in a mark), QoS and 4 if retained (1), zero (1), topic, payload.
 */

#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#define NAME "uplink journal: "
#define MAGIC "PUJ1"
#define RETAINED 4
#define CRC_FROM 8 /* behind the magic and itself */
#define MAX_FILTERS 64
/* Written between two looks at the free space, at most; there is one every second, too. */
#define LOOK_BYTES (1L << 20)

/* What is longer is cut to this after a save. */
#define KEPT_BYTES (32L << 20)

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

struct journal {
    mosquitto_plugin_id_t *plugin;
    char *path;
    char *saved_path;
    const char *filters[MAX_FILTERS];
    int filter_count;
    bool sync;
    long long reserve_bytes;
    int file;
    uint64_t generation;
    off_t end;             /* of the last record of this generation */
    int saved_directory;
    const char *saved_name;
    struct stat saved;     /* of the broker's last save that was seen */
    bool replayed;         /* what the journal held is in the broker's memory */
    time_t looked_at;
    off_t looked_end;
    int refusing;          /* errno of the refusals under way; 0 while all is written */
    unsigned long refused;
};

static uint32_t crc_table[256];

static void make_crc_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0xEDB88320u : value >> 1;
        crc_table[byte] = value;
    }
}

/* CRC-32 as in zlib; begin with 0 and hand the result on. */
static uint32_t crc32(uint32_t crc, const void *data, size_t length)
{
    const uint8_t *byte = data;
    crc = ~crc;
    while (length--)
        crc = crc_table[(crc ^ *byte++) & 0xFF] ^ crc >> 8;
    return ~crc;
}

/* --- Writing ------------------------------------------------------------------------------- */

/* Writes a record behind the last one; it counts when the end is moved behind it. */
static bool write_record(struct journal *journal, off_t at, const char *topic, const void *payload,
    uint32_t payload_length, uint8_t flags, size_t *length)
{
    size_t topic_length = strlen(topic);
    struct header header = {
        .generation = htole64(journal->generation),
        .payload_length = htole32(payload_length),
        .topic_length = htole16((uint16_t)topic_length),
        .flags = flags,
    };
    memcpy(header.magic, MAGIC, sizeof header.magic);
    uint32_t crc = crc32(0, (uint8_t *)&header + CRC_FROM, sizeof header - CRC_FROM);
    crc = crc32(crc, topic, topic_length);
    header.crc = htole32(crc32(crc, payload, payload_length));
    struct iovec parts[] = {
        {&header, sizeof header},
        {(void *)topic, topic_length},
        {(void *)payload, payload_length},
    };
    *length = sizeof header + topic_length + payload_length;
    ssize_t written = pwritev(journal->file, parts, 3, at);
    if (written >= 0 && (size_t)written < *length)
        errno = ENOSPC;
    return written == (ssize_t)*length;
}

static bool append(struct journal *journal, const struct mosquitto_evt_message *message)
{
    size_t length;
    uint8_t flags = message->qos | (message->retain ? RETAINED : 0);
    if (!write_record(journal, journal->end, message->topic, message->payload, message->payloadlen,
            flags, &length) ||
        (journal->sync && fdatasync(journal->file) != 0))
        return false;
    journal->end += (off_t)length;
    return true;
}

/* Makes all records leftovers. Where it must be on the disk, the next record's sync takes care. */
static bool begin_generation(struct journal *journal)
{
    size_t length;
    uint64_t before = journal->generation;
    if (getrandom(&journal->generation, sizeof before, 0) != sizeof before ||
        !write_record(journal, 0, "", NULL, 0, 0, &length)) {
        journal->generation = before;
        return false;
    }
    if (journal->end > KEPT_BYTES && ftruncate(journal->file, KEPT_BYTES) != 0)
        mosquitto_log_printf(MOSQ_LOG_WARNING, NAME "stays long: %s", strerror(errno));
    journal->end = journal->looked_end = (off_t)length;
    return true;
}

/* Mosquitto replaces its save even where the disk is too full for the new one, and then has
 * neither. So uplinks are refused before that: a save takes the room of the last one and of what
 * came since, with the broker's own fields for each message. */
static bool has_room(struct journal *journal)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    errno = ENOSPC;
    if (now.tv_sec == journal->looked_at && journal->end - journal->looked_end < LOOK_BYTES)
        return journal->refusing != ENOSPC;
    struct statvfs disk;
    if (fstatvfs(journal->file, &disk) != 0)
        return true; /* what then goes wrong is said by the write */
    journal->looked_at = now.tv_sec;
    journal->looked_end = journal->end;
    uint64_t needed =
        (uint64_t)(journal->reserve_bytes + journal->saved.st_size + 3 * journal->end);
    return (uint64_t)disk.f_bavail * disk.f_frsize >= needed;
}

static void note_outcome(struct journal *journal, int reason)
{
    if (reason != 0) {
        if (journal->refusing == 0)
            mosquitto_log_printf(MOSQ_LOG_ERR, NAME "uplinks are refused: %s", strerror(reason));
        journal->refused++;
    } else if (journal->refusing != 0) {
        mosquitto_log_printf(
            MOSQ_LOG_NOTICE, NAME "uplinks are taken again, %lu were refused", journal->refused);
        journal->refused = 0;
    }
    journal->refusing = reason;
}

/* --- The broker's saves -------------------------------------------------------------------- */

static bool is_same_file(const struct stat *one, const struct stat *other)
{
    return one->st_ino == other->st_ino && one->st_size == other->st_size &&
           one->st_mtim.tv_sec == other->st_mtim.tv_sec &&
           one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}

/* Empties the journal where the broker has saved since the last call. */
static void notice_save(struct journal *journal)
{
    struct stat now;
    if (fstatat(journal->saved_directory, journal->saved_name, &now, 0) != 0 ||
        is_same_file(&now, &journal->saved))
        return;
    bool has_records = journal->end > (off_t)sizeof(struct header);
    if (journal->replayed && has_records) {
        /* Else the disk may have the save before this one, after the machine's crash. */
        if (journal->sync && fsync(journal->saved_directory) != 0)
            return;
        if (!begin_generation(journal))
            return;
    }
    journal->saved = now;
}

/* --- Reading back -------------------------------------------------------------------------- */

/* Returns the length of the whole record that begins here, with its header; 0 where none does.
 * One of another generation than asked for is none; NULL asks for any. */
static size_t read_record(
    const uint8_t *data, size_t available, const uint64_t *generation, struct header *header)
{
    if (available < sizeof *header || memcmp(data, MAGIC, sizeof header->magic) != 0)
        return 0;
    memcpy(header, data, sizeof *header);
    size_t length =
        sizeof *header + le16toh(header->topic_length) + (size_t)le32toh(header->payload_length);
    if (length > available || (generation && le64toh(header->generation) != *generation))
        return 0;
    uint32_t crc = crc32(0, data + CRC_FROM, length - CRC_FROM);
    return crc == le32toh(header->crc) ? length : 0;
}

static bool publish_again(const struct header *header, const uint8_t *record)
{
    size_t topic_length = le16toh(header->topic_length);
    const char *fields = (const char *)record + sizeof *header;
    char *topic = strndup(fields, topic_length);
    if (topic == NULL)
        return false;
    int outcome = mosquitto_broker_publish_copy(NULL, topic, (int)le32toh(header->payload_length),
        fields + topic_length, header->flags & 3, header->flags & RETAINED, NULL);
    free(topic);
    return outcome == MOSQ_ERR_SUCCESS;
}

/* Keeps a copy of the damaged journal, for whoever wants to look. */
static void keep_damaged(const struct journal *journal, const uint8_t *data, size_t size)
{
    char *path = NULL;
    if (asprintf(&path, "%s.damaged-%lld", journal->path, (long long)time(NULL)) < 0)
        return;
    int copy = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool kept = copy >= 0 && write(copy, data, size) == (ssize_t)size;
    mosquitto_log_printf(MOSQ_LOG_ERR, NAME "the damaged file is %s %s",
        kept ? "kept as" : "not kept, there is no room for", path);
    if (copy >= 0)
        close(copy);
    free(path);
}

/* Publishes all whole records of the last generation again; reports what is none. */
static bool replay(struct journal *journal, const uint8_t *data, size_t size)
{
    struct header header;
    unsigned long messages = 0;
    size_t damaged = 0;
    size_t end = 0; /* of the last whole record */
    bool found = false; /* the generation: the first whole record's */
    for (size_t at = 0; at < size;) {
        size_t length =
            read_record(data + at, size - at, found ? &journal->generation : NULL, &header);
        if (length == 0) {
            const uint8_t *next = memmem(data + at + 1, size - at - 1, MAGIC, strlen(MAGIC));
            at = next ? (size_t)(next - data) : size;
            continue;
        }
        found = true;
        journal->generation = le64toh(header.generation);
        if (header.topic_length != 0) {
            if (!publish_again(&header, data + at))
                return false;
            messages++;
        }
        damaged += at - end;
        end = at += length;
    }
    if (messages != 0)
        mosquitto_log_printf(MOSQ_LOG_NOTICE,
            NAME "%lu messages came after the last save, published again", messages);
    if (damaged != 0) {
        mosquitto_log_printf(MOSQ_LOG_ERR,
            NAME "%zu bytes between whole records are damaged, their messages lost", damaged);
        keep_damaged(journal, data, size);
    }
    journal->end = (off_t)end;
    return found || begin_generation(journal);
}

static bool read_back(struct journal *journal)
{
    struct stat status;
    if (fstat(journal->file, &status) != 0)
        return false;
    size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size + 1);
    bool done = data != NULL;
    for (size_t at = 0; done && at < size;) {
        ssize_t got = pread(journal->file, data + at, size - at, (off_t)at);
        done = got > 0;
        at += done ? (size_t)got : 0;
    }
    done = done && replay(journal, data, size);
    free(data);
    return done;
}

/* Opens the directory of the broker's saves, and remembers the last one. */
static bool find_save(struct journal *journal)
{
    char *slash = strrchr(journal->saved_path, '/');
    if (slash == NULL) {
        errno = EINVAL;
        return false;
    }
    *slash = '\0'; /* from here on, it names the directory */
    journal->saved_name = slash + 1;
    journal->saved_directory = open(journal->saved_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return journal->saved_directory >= 0 &&
           (fstatat(journal->saved_directory, journal->saved_name, &journal->saved, 0) == 0 ||
               errno == ENOENT);
}

/* --- What the broker calls ----------------------------------------------------------------- */

static bool is_uplink(const struct journal *journal, const char *topic)
{
    for (int i = 0; i < journal->filter_count; i++) {
        bool matches = false;
        if (mosquitto_topic_matches_sub(journal->filters[i], topic, &matches) == 0 && matches)
            return true;
    }
    return false;
}

static int on_message(int event, void *event_data, void *user_data)
{
    (void)event;
    struct journal *journal = user_data;
    struct mosquitto_evt_message *message = event_data;
    journal->replayed = true;
    if (!is_uplink(journal, message->topic))
        return MOSQ_ERR_SUCCESS;
    notice_save(journal);
    int reason = has_room(journal) && append(journal, message) ? 0 : errno;
    note_outcome(journal, reason);
    errno = reason;
    /* Any error but two ends the connection without an acknowledgement; those two are answered. */
    return reason == 0 ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ERRNO;
}

static int on_tick(int event, void *event_data, void *user_data)
{
    (void)event;
    (void)event_data;
    struct journal *journal = user_data;
    journal->replayed = true;
    notice_save(journal);
    return MOSQ_ERR_SUCCESS;
}

static bool take_option(struct journal *journal, const char *key, const char *value)
{
    if (strcmp(key, "journal") == 0)
        return (journal->path = strdup(value)) != NULL;
    if (strcmp(key, "saved") == 0)
        return (journal->saved_path = strdup(value)) != NULL;
    if (strcmp(key, "sync") == 0) {
        journal->sync = strcmp(value, "true") == 0;
        return journal->sync || strcmp(value, "false") == 0;
    }
    if (strcmp(key, "reserve") == 0)
        return (journal->reserve_bytes = atoll(value)) > 0;
    if (strcmp(key, "uplink") != 0 || journal->filter_count == MAX_FILTERS)
        return false;
    return (journal->filters[journal->filter_count++] = strdup(value)) != NULL;
}

int mosquitto_plugin_version(int count, const int *versions)
{
    for (int i = 0; i < count; i++)
        if (versions[i] == 5)
            return 5;
    return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *plugin, void **user_data,
    struct mosquitto_opt *options, int option_count)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL)
        return MOSQ_ERR_NOMEM;
    *user_data = journal;
    journal->plugin = plugin;
    journal->file = journal->saved_directory = -1;
    make_crc_table();
    signal(SIGXFSZ, SIG_IGN); /* then a limit of the file size is an error as a full disk is */
    for (int i = 0; i < option_count; i++) {
        if (!take_option(journal, options[i].key, options[i].value)) {
            mosquitto_log_printf(MOSQ_LOG_ERR, NAME "option %s is wrong", options[i].key);
            return MOSQ_ERR_INVAL;
        }
    }
    if (journal->path == NULL || journal->saved_path == NULL || journal->filter_count == 0) {
        mosquitto_log_printf(MOSQ_LOG_ERR, NAME "journal, saved and uplink must be given");
        return MOSQ_ERR_INVAL;
    }
    journal->file = open(journal->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (journal->file < 0 || !find_save(journal) || !read_back(journal) ||
        (journal->sync && (fsync(journal->file) != 0 || fsync(journal->saved_directory) != 0))) {
        mosquitto_log_printf(MOSQ_LOG_ERR, NAME "%s: %s", journal->path, strerror(errno));
        return MOSQ_ERR_ERRNO;
    }
    int outcome = mosquitto_callback_register(plugin, MOSQ_EVT_MESSAGE, on_message, NULL, journal);
    if (outcome == MOSQ_ERR_SUCCESS)
        outcome = mosquitto_callback_register(plugin, MOSQ_EVT_TICK, on_tick, NULL, journal);
    if (outcome == MOSQ_ERR_SUCCESS)
        mosquitto_log_printf(MOSQ_LOG_NOTICE, NAME "uplinks are taken, each after it was %s",
            journal->sync ? "synced" : "written");
    return outcome;
}

int mosquitto_plugin_cleanup(void *user_data, struct mosquitto_opt *options, int option_count)
{
    (void)options;
    (void)option_count;
    struct journal *journal = user_data;
    mosquitto_callback_unregister(journal->plugin, MOSQ_EVT_MESSAGE, on_message, NULL);
    mosquitto_callback_unregister(journal->plugin, MOSQ_EVT_TICK, on_tick, NULL);
    if (journal->saved_directory >= 0) {
        notice_save(journal); /* the broker's last */
        close(journal->saved_directory);
    }
    if (journal->file >= 0)
        close(journal->file);
    for (int i = 0; i < journal->filter_count; i++)
        free((void *)journal->filters[i]);
    free(journal->path);
    free(journal->saved_path);
    free(journal);
    return MOSQ_ERR_SUCCESS;
}
