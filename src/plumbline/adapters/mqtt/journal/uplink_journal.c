/*
 * Mosquitto plugin: no uplink and no command is acknowledged before it is in a file.
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
 * the next save needs: with less, uplinks are refused), uplink FILTER and command FILTER (each may
 * be repeated). A command that is over when it would be published again is left out: what it says
 * of its end is held against the clock. An uplink is published in any case.
 *
 * The journal is one file, written again from its beginning after each save, as that costs least.
 * So its first record is a mark, without a topic, of a new generation; what other generations left
 * behind is no record.
 */

#define _GNU_SOURCE
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
#include <time.h>
#include <unistd.h>

#include <mosquitto.h>
#if LIBMOSQUITTO_VERSION_NUMBER < 2001000 /* from then on, all is in the one above */
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#endif

#include "broker_save.h"
#include "command.h"
#include "record.h"

#define NAME "uplink journal: "
#define MAX_FILTERS 64
/* Written between two looks at the free space, at most; there is one every second, too. */
#define LOOK_BYTES (1L << 20)

/* What is longer is cut to this after a save. */
#define KEPT_BYTES (32L << 20)

struct filters {
    const char *texts[MAX_FILTERS];
    int count;
};

struct journal {
    mosquitto_plugin_id_t *plugin;
    char *path;
    char *saved_path;
    struct filters uplinks;
    struct filters commands;
    bool sync;
    long long reserve_bytes;
    int file;
    uint64_t generation;
    off_t start;           /* of the first record behind the mark */
    off_t end;             /* of the last record of this generation */
    struct broker_save save;
    bool replayed;         /* what the journal held is in the broker's memory */
    bool room;             /* on the disk, when it was looked at */
    time_t looked_at;
    off_t looked_end;
    int refusing;          /* errno of the refusals under way; 0 while all is written */
    unsigned long refused;
};

/* --- Writing ------------------------------------------------------------------------------- */

static bool append(
    struct journal *journal, const struct mosquitto_evt_message *message, bool is_command)
{
    struct record record = {
        .generation = journal->generation,
        .topic = message->topic,
        .topic_length = strlen(message->topic),
        .payload = message->payload,
        .payload_length = message->payloadlen,
        .flags = message->qos | (message->retain ? RECORD_RETAINED : 0),
    };
    uint8_t *packed = NULL;
    if (is_command) {
        record.payload = packed = command_pack(message, &record.payload_length);
        record.flags |= RECORD_COMMAND;
        if (packed == NULL)
            return false;
    }
    size_t length = record_write(journal->file, journal->end, &record);
    free(packed);
    if (length == 0 || (journal->sync && fdatasync(journal->file) != 0))
        return false;
    journal->end += (off_t)length;
    return true;
}

/* Makes all records leftovers. Where it must be on the disk, the next record's sync takes care. */
static bool begin_generation(struct journal *journal)
{
    struct record mark = {.topic = ""};
    if (getrandom(&mark.generation, sizeof mark.generation, 0) != sizeof mark.generation)
        return false;
    size_t length = record_write(journal->file, 0, &mark);
    if (length == 0)
        return false;
    journal->generation = mark.generation;
    if (journal->end > KEPT_BYTES && ftruncate(journal->file, KEPT_BYTES) != 0)
        mosquitto_log_printf(MOSQ_LOG_WARNING, NAME "stays long: %s", strerror(errno));
    journal->start = journal->end = journal->looked_end = (off_t)length;
    return true;
}

/* Uplinks are refused before the disk is too full for the broker's next save, which takes the room
 * of the last one and of what came since, with the broker's own fields for each message. */
static bool has_room(struct journal *journal)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    errno = ENOSPC;
    if (now.tv_sec == journal->looked_at && journal->end - journal->looked_end < LOOK_BYTES)
        return journal->room;
    journal->looked_at = now.tv_sec;
    journal->looked_end = journal->end;
    struct statvfs disk;
    uint64_t needed =
        (uint64_t)(journal->reserve_bytes + journal->save.seen.st_size + 3 * journal->end);
    journal->room = fstatvfs(journal->file, &disk) != 0 || /* then the write says what is wrong */
                    (uint64_t)disk.f_bavail * disk.f_frsize >= needed;
    errno = ENOSPC;
    return journal->room;
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

/* Empties the journal where the broker has saved since the last call. */
static void notice_save(struct journal *journal)
{
    struct stat now;
    switch (save_look(&journal->save, &now)) {
    case SAVE_SAME:
        return;
    case SAVE_BROKEN:
        if (save_put_back(&journal->save))
            mosquitto_log_printf(MOSQ_LOG_ERR,
                NAME "the broker could not save; its last save is put back, the journal kept");
        else
            journal->save.seen = now;
        return;
    case SAVE_WHOLE:
        break;
    }
    if (journal->replayed && journal->end > journal->start &&
        /* Else the disk may have the save before this one, after the machine's crash. */
        ((journal->sync && !save_sync(&journal->save)) || !begin_generation(journal)))
        return; /* tried again at the next call */
    save_accept(&journal->save, &now);
}

/* --- Reading back -------------------------------------------------------------------------- */

struct replayed {
    unsigned long published;
    unsigned long over; /* commands whose end has come */
};

static bool publish_again(const struct record *record, struct replayed *count)
{
    struct command content = {
        .payload = record->payload, .payload_length = record->payload_length};
    if (record->flags & RECORD_COMMAND && !command_unpack(record, &content))
        return false;
    if (content.expires_at != 0 && content.expires_at <= (uint64_t)time(NULL)) {
        mosquitto_property_free_all(&content.properties);
        count->over++;
        return true;
    }
    char *topic = strndup(record->topic, record->topic_length);
    bool done = topic != NULL &&
                mosquitto_broker_publish_copy(NULL, topic, (int)content.payload_length,
                    content.payload, record->flags & RECORD_QOS, record->flags & RECORD_RETAINED,
                    content.properties) == MOSQ_ERR_SUCCESS;
    free(topic);
    if (!done)
        mosquitto_property_free_all(&content.properties);
    count->published += done;
    return done;
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
    struct record record;
    struct replayed count = {0};
    size_t damaged = 0;
    size_t end = 0; /* of the last whole record */
    bool found = false; /* the generation: the first whole record's */
    for (size_t at = 0; at < size;) {
        size_t length =
            record_read(data + at, size - at, found ? &journal->generation : NULL, &record);
        if (length == 0) {
            const uint8_t *next = memmem(
                data + at + 1, size - at - 1, RECORD_MAGIC, strlen(RECORD_MAGIC));
            at = next ? (size_t)(next - data) : size;
            continue;
        }
        found = true;
        journal->generation = record.generation;
        if (record.topic_length != 0) {
            if (!publish_again(&record, &count))
                return false;
        } else {
            journal->start = (off_t)(at + length);
        }
        damaged += at - end;
        end = at += length;
    }
    if (count.published != 0)
        mosquitto_log_printf(MOSQ_LOG_NOTICE,
            NAME "%lu messages came after the last save, published again", count.published);
    if (count.over != 0)
        mosquitto_log_printf(MOSQ_LOG_NOTICE,
            NAME "%lu commands came after the last save, and are over", count.over);
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

/* The broker has just read its save; where that was no whole one, it has to begin again. */
static bool check_save(struct journal *journal)
{
    struct stat now;
    switch (save_look(&journal->save, &now)) {
    case SAVE_WHOLE:
        save_accept(&journal->save, &now);
        break;
    case SAVE_BROKEN:
        if (save_put_back(&journal->save)) {
            mosquitto_log_printf(MOSQ_LOG_ERR,
                NAME "the broker's save is broken; the one before is put back: start again");
            errno = EAGAIN;
            return false;
        }
        mosquitto_log_printf(MOSQ_LOG_ERR,
            NAME "the broker's save is broken, and there is no other: what it held is lost");
        break;
    case SAVE_SAME: /* there is none */
        break;
    }
    return true;
}

/* --- What the broker calls ----------------------------------------------------------------- */

static bool is_in(const struct filters *filters, const char *topic)
{
    for (int i = 0; i < filters->count; i++) {
        bool matches = false;
        if (mosquitto_topic_matches_sub(filters->texts[i], topic, &matches) == 0 && matches)
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
    bool is_uplink = is_in(&journal->uplinks, message->topic);
    if (!is_uplink && !is_in(&journal->commands, message->topic))
        return MOSQ_ERR_SUCCESS;
    notice_save(journal);
    int reason = has_room(journal) && append(journal, message, !is_uplink) ? 0 : errno;
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

static bool take_filter(struct filters *filters, const char *text)
{
    return filters->count < MAX_FILTERS &&
           (filters->texts[filters->count++] = strdup(text)) != NULL;
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
    if (strcmp(key, "uplink") == 0)
        return take_filter(&journal->uplinks, value);
    return strcmp(key, "command") == 0 && take_filter(&journal->commands, value);
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
    journal->file = journal->save.directory = -1;
    signal(SIGXFSZ, SIG_IGN); /* then a limit of the file size is an error as a full disk is */
    for (int i = 0; i < option_count; i++) {
        if (!take_option(journal, options[i].key, options[i].value)) {
            mosquitto_log_printf(MOSQ_LOG_ERR, NAME "option %s is wrong", options[i].key);
            return MOSQ_ERR_INVAL;
        }
    }
    if (journal->path == NULL || journal->saved_path == NULL || journal->uplinks.count == 0) {
        mosquitto_log_printf(MOSQ_LOG_ERR, NAME "journal, saved and uplink must be given");
        return MOSQ_ERR_INVAL;
    }
    journal->file = open(journal->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (journal->file < 0 || !save_open(&journal->save, journal->saved_path) ||
        !check_save(journal) || !read_back(journal) ||
        (journal->sync && (fsync(journal->file) != 0 || !save_sync(&journal->save)))) {
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

static void free_filters(struct filters *filters)
{
    while (filters->count > 0)
        free((void *)filters->texts[--filters->count]);
}

int mosquitto_plugin_cleanup(void *user_data, struct mosquitto_opt *options, int option_count)
{
    (void)options;
    (void)option_count;
    struct journal *journal = user_data;
    mosquitto_callback_unregister(journal->plugin, MOSQ_EVT_MESSAGE, on_message, NULL);
    mosquitto_callback_unregister(journal->plugin, MOSQ_EVT_TICK, on_tick, NULL);
    if (journal->save.directory >= 0)
        notice_save(journal); /* the broker's last */
    save_close(&journal->save);
    if (journal->file >= 0)
        close(journal->file);
    free_filters(&journal->uplinks);
    free_filters(&journal->commands);
    free(journal->path);
    free(journal->saved_path);
    free(journal);
    return MOSQ_ERR_SUCCESS;
}
