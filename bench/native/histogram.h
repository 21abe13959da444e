/* Durations from 1 µs to hours, to within 1 %. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <string.h>

/* Values below 128 have a bucket each, then each power of two has 128. */
#define HISTOGRAM_BITS 7
#define HISTOGRAM_BUCKETS (40 << HISTOGRAM_BITS)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
};

static inline void histogram_add(struct histogram *to, uint64_t us)
{
    int shift = 0;
    if (us >> (HISTOGRAM_BITS + 1)) shift = 63 - HISTOGRAM_BITS - __builtin_clzll(us);
    uint64_t bucket = ((uint64_t)shift << HISTOGRAM_BITS) + (us >> shift);
    if (bucket >= HISTOGRAM_BUCKETS) bucket = HISTOGRAM_BUCKETS - 1;
    to->counts[bucket]++;
    to->total++;
}

/* The value, in µs, that a share of all does not exceed; 0 when there are none. */
static inline uint64_t histogram_quantile(const struct histogram *of, double share)
{
    uint64_t rank = (uint64_t)(share * (double)of->total), seen = 0;
    for (uint64_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += of->counts[bucket];
        if (seen == 0 || seen < rank) continue;
        if (bucket < 2u << HISTOGRAM_BITS) return bucket;
        uint64_t shift = (bucket >> HISTOGRAM_BITS) - 1;
        return (bucket - (shift << HISTOGRAM_BITS)) << shift;
    }
    return 0;
}

#endif
