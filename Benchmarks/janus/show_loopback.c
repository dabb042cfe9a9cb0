// Preloaded into Janus for measurements on one machine: shows the loopback interface as an ordinary one, because Janus gathers no
// candidates from an interface that says it is loopback. Changes nothing else.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stddef.h>

typedef int (*getifaddrs_function)(struct ifaddrs **);

int getifaddrs(struct ifaddrs **list) {
  // POSIX lets dlsym give a function; ISO C has no cast for it, so the bytes are copied through a union.
  union {
    void *object;
    getifaddrs_function function;
  } next = {.object = dlsym(RTLD_NEXT, "getifaddrs")};
  if (next.object == NULL) {
    errno = ENOSYS;
    return -1;
  }
  int status = next.function(list);
  if (status != 0) return status;
  for (struct ifaddrs *entry = *list; entry != NULL; entry = entry->ifa_next) entry->ifa_flags &= ~(unsigned)IFF_LOOPBACK;
  return 0;
}
