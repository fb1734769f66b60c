/* Counts a program's heap allocations from outside: LD_PRELOAD this, with
 * ALLOC_COUNT_FILE naming a file of 16 bytes. The counters live in that file
 * (shared memory), so the harness reads them while the program runs and how
 * the program ends does not matter. glibc only: it forwards to __libc_*. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static uint64_t before_main[2];
static uint64_t *counters = before_main;

__attribute__((constructor)) static void map_counters(void) {
  const char *path = getenv("ALLOC_COUNT_FILE");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *map = mmap(NULL, sizeof before_main, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (map != MAP_FAILED) counters = map;
}

static void count(size_t bytes) {
  __atomic_fetch_add(&counters[0], 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&counters[1], bytes, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
  count(n * size);
  return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) {
  count(size);
  return __libc_realloc(old, size);
}

void *memalign(size_t align, size_t size) {
  count(size);
  return __libc_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size) {
  count(size);
  return __libc_memalign(align, size);
}

int posix_memalign(void **out, size_t align, size_t size) {
  count(size);
  void *block = __libc_memalign(align, size);
  if (!block) return ENOMEM;
  *out = block;
  return 0;
}
