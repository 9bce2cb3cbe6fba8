/* A disk that fails on demand, for one process and one folder.
 *
 * Loaded before libc, it stands before fsync, fdatasync, write and pwrite. A page shared with whoever
 * orders the faults says how many of the next ones fail: 0 none, below 0 all. What it saw and what
 * it failed is counted in the same page, so that a shim which is never hit cannot pass for one.
 * Files outside of CHAOS_DISK_FOLDER are never touched.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct control {
  int32_t failing_syncs;
  int32_t failing_writes;
  int32_t syncs_seen;
  int32_t syncs_failed;
  int32_t writes_seen;
  int32_t writes_failed;
};

static struct control *control;
static char folder[4096];

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("CHAOS_DISK_CONTROL");
  const char *under = getenv("CHAOS_DISK_FOLDER");
  if (path == NULL || under == NULL || strlen(under) + 2 > sizeof folder) return;
  snprintf(folder, sizeof folder, "%s/", under);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (page != MAP_FAILED) control = page;
}

static int ours(int fd) {
  char link[64], path[4096];
  int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (size < 0) return 0;
  path[size] = 0;
  return strncmp(path, folder, strlen(folder)) == 0;
}

static int due(int32_t *failing) {
  int32_t left = __atomic_load_n(failing, __ATOMIC_SEQ_CST);
  while (left > 0) {
    if (__atomic_compare_exchange_n(failing, &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      return 1;
  }
  return left < 0;
}

static int fails(int fd, int32_t *failing, int32_t *seen, int32_t *failed) {
  if (!ours(fd)) return 0;
  __atomic_fetch_add(seen, 1, __ATOMIC_SEQ_CST);
  if (!due(failing)) return 0;
  __atomic_fetch_add(failed, 1, __ATOMIC_SEQ_CST);
  return 1;
}

static int sync_fails(int fd) {
  if (control == NULL) return 0;
  return fails(fd, &control->failing_syncs, &control->syncs_seen, &control->syncs_failed);
}

static int write_fails(int fd) {
  if (control == NULL || __atomic_load_n(&control->failing_writes, __ATOMIC_SEQ_CST) == 0) return 0;
  return fails(fd, &control->failing_writes, &control->writes_seen, &control->writes_failed);
}

#define NEXT(name) \
  static __typeof__(&name) next; \
  if (next == NULL) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int fsync(int fd) {
  NEXT(fsync);
  if (sync_fails(fd)) { errno = EIO; return -1; }
  return next(fd);
}

int fdatasync(int fd) {
  NEXT(fdatasync);
  if (sync_fails(fd)) { errno = EIO; return -1; }
  return next(fd);
}

ssize_t write(int fd, const void *data, size_t size) {
  NEXT(write);
  if (write_fails(fd)) { errno = ENOSPC; return -1; }
  return next(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  NEXT(pwrite);
  if (write_fails(fd)) { errno = ENOSPC; return -1; }
  return next(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  NEXT(pwrite64);
  if (write_fails(fd)) { errno = ENOSPC; return -1; }
  return next(fd, data, size, at);
}
