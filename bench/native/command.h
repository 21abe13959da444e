/*
 * Commands from whoever started the program: a line each on standard input, a word and options.
 * Every answer is one line of JSON on standard output. The end of the input ends the program, so
 * that none outlives a bench that was killed.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_WORDS 8

struct commands {
    char text[4096];
    size_t length;
};

/* Called with each command, as a main function is. */
typedef void command_run(int argc, char **argv);

static inline void command_line(char *line, command_run *run)
{
    char *words[COMMAND_WORDS];
    int count = 0;
    for (char *word = strtok(line, " "); word && count < COMMAND_WORDS; word = strtok(NULL, " "))
        words[count++] = word;
    if (count > 0) run(count, words);
}

/* Reads what is there, and runs every command that is whole. */
static inline void command_read(struct commands *from, command_run *run)
{
    ssize_t got = read(0, from->text + from->length, sizeof from->text - from->length);
    if (got < 0 && errno == EINTR) return;
    if (got <= 0) exit(0);
    from->length += (size_t)got;
    char *line = from->text, *end;
    while ((end = memchr(line, '\n', from->length - (size_t)(line - from->text)))) {
        *end = 0;
        command_line(line, run);
        line = end + 1;
    }
    from->length -= (size_t)(line - from->text);
    memmove(from->text, line, from->length);
}

#endif
