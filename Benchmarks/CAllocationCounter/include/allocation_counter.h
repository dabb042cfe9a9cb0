// Counts what a process takes from the heap, by thread. Linked into benchmarks only.
#pragma once

#include <stdint.h>

/// Whether the hooks are in place: not under a sanitizer, which has hooks of its own.
int enfilade_allocation_counting(void);

/// The number of the calling thread, as the kernel has it.
int enfilade_thread_number(void);

/// How often the thread with this number has taken memory from the heap (malloc, calloc, realloc, aligned forms) since it began.
/// -1 for a thread that never has, or that is not counted.
int64_t enfilade_allocation_count(int thread_number);

/// Bytes that the whole process holds on the heap now, as the allocator rounds them.
int64_t enfilade_live_byte_count(void);

/// User and system time of the calling thread in nanoseconds, as the kernel's accounting has it.
void enfilade_thread_usage(int64_t *user_nanoseconds, int64_t *system_nanoseconds);

/// Lets the process open as many files as it may.
void enfilade_raise_file_limit(void);
