/* See broker_save.h. */

#define _GNU_SOURCE
#include "broker_save.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT "mosquitto.db.kept"
#define KEPT_NEW "mosquitto.db.kept.new"

/* Mosquitto's format: 15 bytes of magic, 4 of zero, 4 of version, then chunks, each behind its
 * type and length of 4 bytes each, big-endian. */
#define FORMAT_MAGIC "\x00\xb5\x00mosquitto db"
#define FORMAT_START 23
#define FORMAT_KNOWN 6

static bool is_whole(const uint8_t *data, size_t size)
{
    uint32_t field;
    if (size < FORMAT_START || memcmp(data, FORMAT_MAGIC, 15) != 0)
        return false;
    memcpy(&field, data + FORMAT_START - 4, 4);
    if (ntohl(field) > FORMAT_KNOWN)
        return true; /* as far as can be known */
    size_t at = FORMAT_START;
    while (size - at >= 8) {
        memcpy(&field, data + at + 4, 4);
        size_t length = ntohl(field);
        if (length > size - at - 8)
            return false;
        at += 8 + length;
    }
    return at == size && at > FORMAT_START;
}

static bool is_whole_file(int directory, const char *name)
{
    struct stat status;
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    size_t size = fstat(file, &status) == 0 ? (size_t)status.st_size : 0;
    /* Nothing can be mapped of an empty file. */
    void *data = size == 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (data == MAP_FAILED)
        return false;
    bool whole = is_whole(data, size);
    munmap(data, size);
    return whole;
}

static bool is_same_file(const struct stat *one, const struct stat *other)
{
    return one->st_ino == other->st_ino && one->st_size == other->st_size &&
           one->st_mtim.tv_sec == other->st_mtim.tv_sec &&
           one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}

bool save_open(struct broker_save *save, const char *path)
{
    save->path = strdup(path);
    char *slash = save->path == NULL ? NULL : strrchr(save->path, '/');
    if (slash == NULL) {
        errno = EINVAL;
        return false;
    }
    *slash = '\0';
    save->name = slash + 1;
    save->directory = open(save->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return save->directory >= 0;
}

enum save_state save_look(const struct broker_save *save, struct stat *now)
{
    if (fstatat(save->directory, save->name, now, 0) != 0 || is_same_file(now, &save->seen))
        return SAVE_SAME;
    return is_whole_file(save->directory, save->name) ? SAVE_WHOLE : SAVE_BROKEN;
}

void save_accept(struct broker_save *save, const struct stat *now)
{
    save->seen = *now;
    unlinkat(save->directory, KEPT_NEW, 0);
    if (linkat(save->directory, save->name, save->directory, KEPT_NEW, 0) == 0)
        renameat(save->directory, KEPT_NEW, save->directory, KEPT);
}

bool save_put_back(const struct broker_save *save)
{
    unlinkat(save->directory, KEPT_NEW, 0);
    return is_whole_file(save->directory, KEPT) &&
           linkat(save->directory, KEPT, save->directory, KEPT_NEW, 0) == 0 &&
           renameat(save->directory, KEPT_NEW, save->directory, save->name) == 0;
}

bool save_sync(const struct broker_save *save)
{
    return fsync(save->directory) == 0;
}

void save_close(struct broker_save *save)
{
    if (save->directory >= 0)
        close(save->directory);
    free(save->path);
}
