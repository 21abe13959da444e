/* What cannot go on ends the program: half a measurement is worse than none. */
#ifndef FAIL_H
#define FAIL_H

#include <stdio.h>
#include <stdlib.h>

static inline void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Passes a system call's result on, unless it is an error. */
static inline int must(int result, const char *what)
{
    if (result < 0) fail(what);
    return result;
}

#endif
