#define _GNU_SOURCE
#include "allocation_counter.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

int enfilade_thread_number(void) { return (int)syscall(SYS_gettid); }

void enfilade_thread_usage(int64_t *user_nanoseconds, int64_t *system_nanoseconds) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  *user_nanoseconds = usage.ru_utime.tv_sec * 1000000000ll + usage.ru_utime.tv_usec * 1000ll;
  *system_nanoseconds = usage.ru_stime.tv_sec * 1000000000ll + usage.ru_stime.tv_usec * 1000ll;
}

void enfilade_raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

#ifdef IS_SANITIZED

int enfilade_allocation_counting(void) { return 0; }
int64_t enfilade_allocation_count(int thread_number) { return -1; }
int64_t enfilade_live_byte_count(void) { return 0; }

#else

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *pointer);

enum { THREAD_LIMIT = 256 };

struct thread_count {
  _Atomic int number;
  _Atomic int64_t count;
};

static struct thread_count threads[THREAD_LIMIT];
static _Atomic int thread_total;
static _Atomic int64_t live_bytes;
// Threads beyond the limit share the last place, which is never read.
static __thread struct thread_count *mine __attribute__((tls_model("initial-exec")));

static void take(void *pointer) {
  if (mine == NULL) {
    int place = atomic_fetch_add(&thread_total, 1);
    mine = &threads[place < THREAD_LIMIT - 1 ? place : THREAD_LIMIT - 1];
    atomic_store(&mine->number, enfilade_thread_number());
  }
  atomic_fetch_add_explicit(&mine->count, 1, memory_order_relaxed);
  if (pointer != NULL) atomic_fetch_add_explicit(&live_bytes, (int64_t)malloc_usable_size(pointer), memory_order_relaxed);
}

static void give(void *pointer) {
  if (pointer != NULL) atomic_fetch_sub_explicit(&live_bytes, (int64_t)malloc_usable_size(pointer), memory_order_relaxed);
}

void *malloc(size_t size) {
  void *pointer = __libc_malloc(size);
  take(pointer);
  return pointer;
}

void *calloc(size_t count, size_t size) {
  void *pointer = __libc_calloc(count, size);
  take(pointer);
  return pointer;
}

void *realloc(void *old, size_t size) {
  give(old);
  void *pointer = __libc_realloc(old, size);
  // A refusal leaves the old block where it was.
  if (pointer == NULL && size != 0 && old != NULL) atomic_fetch_add_explicit(&live_bytes, (int64_t)malloc_usable_size(old), memory_order_relaxed);
  take(pointer);
  return pointer;
}

void *memalign(size_t alignment, size_t size) {
  void *pointer = __libc_memalign(alignment, size);
  take(pointer);
  return pointer;
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
  if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void *pointer = memalign(alignment, size);
  if (pointer == NULL) return ENOMEM;
  *out = pointer;
  return 0;
}

void free(void *pointer) {
  give(pointer);
  __libc_free(pointer);
}

int enfilade_allocation_counting(void) { return 1; }

int64_t enfilade_allocation_count(int thread_number) {
  for (int place = 0; place < THREAD_LIMIT - 1; place++) {
    if (atomic_load(&threads[place].number) == thread_number) return atomic_load_explicit(&threads[place].count, memory_order_relaxed);
  }
  return -1;
}

int64_t enfilade_live_byte_count(void) { return atomic_load_explicit(&live_bytes, memory_order_relaxed); }

#endif
