/* Options: name=value, on the command line or in a command. */
#ifndef OPTION_H
#define OPTION_H

#include <stdlib.h>
#include <string.h>

/* Returns the value of an option, or `fallback` when it is not given. */
static inline const char *option(int argc, char **argv, const char *name, const char *fallback)
{
    size_t length = strlen(name);
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], name, length) && argv[i][length] == '=') return argv[i] + length + 1;
    return fallback;
}

static inline double option_number(int argc, char **argv, const char *name, double fallback)
{
    const char *value = option(argc, argv, name, NULL);
    return value ? atof(value) : fallback;
}

#endif
