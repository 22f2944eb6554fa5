/* Makes system calls fail, hang or lie, as another process wishes that shares a page with us.

   Loaded by LD_PRELOAD. FAULTS_PAGE names a file with a `struct page`; FAULTS_FOLDER is the folder
   (a real path) below which files are concerned. The wall clock is everybody's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct page {
    volatile int32_t write_errno;  /* what changes a file fails with; 0: it does not */
    volatile int32_t sync_errno;   /* what fsync fails with */
    volatile int32_t sync_ms;      /* how long fsync takes first */
    volatile int32_t read_errno;   /* what pread fails with */
    volatile int64_t clock_seconds; /* by how much the wall clock is wrong */
    volatile int64_t syncs_begun;
    volatile int64_t syncs_failed;
    volatile int64_t writes_failed;
};

static struct page nothing;
static struct page *page = &nothing;
static char folder[PATH_MAX];
static size_t folder_length;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("FAULTS_PAGE"), *below = getenv("FAULTS_FOLDER");
    if (file == NULL || below == NULL)
        return;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    void *mapped = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) {
        perror("FAULTS_PAGE");
        _exit(99);
    }
    snprintf(folder, sizeof folder, "%s/", below);
    folder_length = strlen(folder);
    page = mapped;
}

static int concerns_path(const char *path)
{
    return folder_length > 0 && strncmp(path, folder, folder_length) == 0;
}

static int concerns(int fd)
{
    char link[64], path[PATH_MAX];
    if (folder_length == 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return concerns_path(path);
}

static int write_fails(int fd)
{
    int problem = page->write_errno;
    if (problem == 0 || !concerns(fd))
        return 0;
    __atomic_add_fetch(&page->writes_failed, 1, __ATOMIC_SEQ_CST);
    errno = problem;
    return 1;
}

static int sync_fails(int fd)
{
    if (!concerns(fd))
        return 0;
    __atomic_add_fetch(&page->syncs_begun, 1, __ATOMIC_SEQ_CST);
    /* In small steps: a disk that answers again answers what already waits for it. */
    for (int waited = 0; waited < page->sync_ms; waited += 20)
        usleep(20 * 1000);
    if (page->sync_errno == 0)
        return 0;
    __atomic_add_fetch(&page->syncs_failed, 1, __ATOMIC_SEQ_CST);
    errno = page->sync_errno;
    return 1;
}

int fsync(int fd) { return sync_fails(fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return sync_fails(fd) ? -1 : REAL(fdatasync)(fd); }

ssize_t write(int fd, const void *bytes, size_t count)
{
    return write_fails(fd) ? -1 : REAL(write)(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    return write_fails(fd) ? -1 : REAL(pwrite)(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at)
{
    return write_fails(fd) ? -1 : REAL(pwrite64)(fd, bytes, count, at);
}

int ftruncate(int fd, off_t size) { return write_fails(fd) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return write_fails(fd) ? -1 : REAL(ftruncate64)(fd, size); }

int posix_fallocate(int fd, off_t at, off_t size)
{
    return write_fails(fd) ? page->write_errno : REAL(posix_fallocate)(fd, at, size);
}

int posix_fallocate64(int fd, off64_t at, off64_t size)
{
    return write_fails(fd) ? page->write_errno : REAL(posix_fallocate64)(fd, at, size);
}

static int path_fails(const char *path)
{
    if (page->write_errno == 0 || !concerns_path(path))
        return 0;
    __atomic_add_fetch(&page->writes_failed, 1, __ATOMIC_SEQ_CST);
    errno = page->write_errno;
    return 1;
}

int truncate(const char *path, off_t size) { return path_fails(path) ? -1 : REAL(truncate)(path, size); }
int truncate64(const char *path, off64_t size) { return path_fails(path) ? -1 : REAL(truncate64)(path, size); }
int unlink(const char *path) { return path_fails(path) ? -1 : REAL(unlink)(path); }
int rename(const char *from, const char *to) { return path_fails(from) ? -1 : REAL(rename)(from, to); }

/* A read-only disk refuses to open a file for writing; a full one does not. */
static int open_fails(const char *path, int flags)
{
    return page->write_errno == EROFS && (flags & (O_WRONLY | O_RDWR | O_CREAT)) && path_fails(path);
}

#define MODE_OF(flags, mode)                      \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {      \
        va_list more;                             \
        va_start(more, flags);                    \
        mode = va_arg(more, mode_t);              \
        va_end(more);                             \
    }

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode)
    return open_fails(path, flags) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    MODE_OF(flags, mode)
    return open_fails(path, flags) ? -1 : REAL(open64)(path, flags, mode);
}

static ssize_t read_failed(void)
{
    errno = page->read_errno;
    return -1;
}

ssize_t pread(int fd, void *bytes, size_t count, off_t at)
{
    return page->read_errno && concerns(fd) ? read_failed() : REAL(pread)(fd, bytes, count, at);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at)
{
    return page->read_errno && concerns(fd) ? read_failed() : REAL(pread64)(fd, bytes, count, at);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = REAL(clock_gettime)(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += page->clock_seconds;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int result = REAL(gettimeofday)(now, zone);
    if (result == 0)
        now->tv_sec += page->clock_seconds;
    return result;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at != NULL)
        *at = now.tv_sec;
    return now.tv_sec;
}
