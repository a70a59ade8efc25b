/* The file into which Mosquitto saves what it has in memory.
 *
 * Mosquitto writes a new file and renames it over the old one, also where the disk was too full
 * for it: then it has replaced a good save by half a file or an empty one, without a word. So the
 * last whole save is kept under a second name (a link, which takes no room), and put back. */

#ifndef BROKER_SAVE_H
#define BROKER_SAVE_H

#include <stdbool.h>
#include <sys/stat.h>

struct broker_save {
    int directory;
    char *path;       /* of the directory */
    const char *name; /* of the file in it */
    struct stat seen; /* the save that was accepted last */
};

enum save_state { SAVE_SAME, SAVE_WHOLE, SAVE_BROKEN };

/* Opens the directory; false with errno set. */
bool save_open(struct broker_save *save, const char *path);

/* Compares the file with the save that was accepted last; its status is in ``now``. */
enum save_state save_look(const struct broker_save *save, struct stat *now);

/* Keeps the file, which is whole, as the last good one. */
void save_accept(struct broker_save *save, const struct stat *now);

/* Puts the last good one back; false where there is none. */
bool save_put_back(const struct broker_save *save);

/* Makes sure that the disk has the file under its name. */
bool save_sync(const struct broker_save *save);

void save_close(struct broker_save *save);

#endif
