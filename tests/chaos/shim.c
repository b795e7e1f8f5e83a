// Preloaded into a server under test: a wall clock that jumps and syncs that fail, as a shared file of numbers says.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { ADDED_SECONDS, FAILING_PERCENT, SYNCS, FAILED_SYNCS, NUMBERS };

static volatile int64_t nothing[NUMBERS];
static volatile int64_t *shared = nothing;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("CHAOS_SHIM");
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *memory = mmap(NULL, NUMBERS * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) shared = memory;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *moment) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL) real = dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(clock, moment);
    if (answer == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) moment->tv_sec += shared[ADDED_SECONDS];
    return answer;
}

int gettimeofday(struct timeval *restrict moment, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    moment->tv_sec = now.tv_sec;
    moment->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *moment) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (moment != NULL) *moment = now.tv_sec;
    return now.tv_sec;
}

// The n-th sync fails or not by its number alone, so that a run can be repeated.
static int fails(void) {
    uint64_t mixed = (uint64_t)__sync_add_and_fetch(&shared[SYNCS], 1) * 0x9E3779B97F4A7C15u;
    if ((int64_t)((mixed >> 33) % 100) >= shared[FAILING_PERCENT]) return 0;
    __sync_add_and_fetch(&shared[FAILED_SYNCS], 1);
    errno = EIO;
    return 1;
}

int fdatasync(int file) {
    static int (*real)(int);
    if (real == NULL) real = dlsym(RTLD_NEXT, "fdatasync");
    return fails() ? -1 : real(file);
}

int fsync(int file) {
    static int (*real)(int);
    if (real == NULL) real = dlsym(RTLD_NEXT, "fsync");
    return fails() ? -1 : real(file);
}
