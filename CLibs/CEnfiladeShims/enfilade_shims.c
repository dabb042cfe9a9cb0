#define _GNU_SOURCE
#include "enfilade_shims.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// Kernel numbers that older headers lack (linux/udp.h).
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
_Static_assert(UDP_SEGMENT == 103 && UDP_GRO == 104, "linux/udp.h");
_Static_assert(sizeof(struct enfilade_address) == 24, "shared with Swift");
_Static_assert(offsetof(struct enfilade_address, port) == 16, "shared with Swift");
_Static_assert(offsetof(struct enfilade_address, is_ipv6) == 18, "shared with Swift");
_Static_assert(offsetof(struct enfilade_address, is_tcp) == 19, "shared with Swift");
_Static_assert(offsetof(struct enfilade_address, scope) == 20, "shared with Swift");
_Static_assert(sizeof(struct enfilade_datagram) == 40, "shared with Swift");
_Static_assert(offsetof(struct enfilade_datagram, byte_count) == 8, "shared with Swift");
_Static_assert(offsetof(struct enfilade_datagram, segment_byte_count) == 12, "shared with Swift");
_Static_assert(offsetof(struct enfilade_datagram, flags) == 14, "shared with Swift");
_Static_assert(offsetof(struct enfilade_datagram, address) == 16, "shared with Swift");

// MARK: Addresses

union any_address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

static void store64(uint8_t *bytes, uint64_t value) {
  value = __builtin_bswap64(value);
  memcpy(bytes, &value, 8);
}

static uint64_t load64(const uint8_t *bytes) {
  uint64_t value;
  memcpy(&value, bytes, 8);
  return __builtin_bswap64(value);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "store64 and load64");

/// The kernel's form of an address; its length, or 0 when the socket cannot reach that family.
static socklen_t to_kernel(const struct enfilade_address *address, int socket_is_ipv6, union any_address *out) {
  memset(out, 0, sizeof *out);
  if (!socket_is_ipv6) {
    if (address->is_ipv6) return 0;
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(address->port);
    out->v4.sin_addr.s_addr = htonl((uint32_t)address->low);
    return sizeof out->v4;
  }
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = htons(address->port);
  uint8_t *bytes = out->v6.sin6_addr.s6_addr;
  if (address->is_ipv6) {
    store64(bytes, address->high);
    store64(bytes + 8, address->low);
    out->v6.sin6_scope_id = address->scope;
  } else {
    store64(bytes + 8, 0x0000FFFF00000000ull | (uint32_t)address->low);
  }
  return sizeof out->v6;
}

static void from_kernel(const union any_address *in, struct enfilade_address *address) {
  memset(address, 0, sizeof *address);
  if (in->any.sa_family == AF_INET) {
    address->port = ntohs(in->v4.sin_port);
    address->low = ntohl(in->v4.sin_addr.s_addr);
    return;
  }
  if (in->any.sa_family != AF_INET6) return;
  const uint8_t *bytes = in->v6.sin6_addr.s6_addr;
  address->port = ntohs(in->v6.sin6_port);
  uint64_t high = load64(bytes), low = load64(bytes + 8);
  if (high == 0 && low >> 32 == 0xFFFF) {
    address->low = low & 0xFFFFFFFF;
    return;
  }
  address->high = high;
  address->low = low;
  address->is_ipv6 = 1;
  address->scope = in->v6.sin6_scope_id;
}

// MARK: Batches

union segment_control {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(uint16_t))];
};

int enfilade_send_batch(int fd, int socket_is_ipv6, const struct enfilade_datagram *datagrams, int count) {
  struct mmsghdr messages[ENFILADE_BATCH_LIMIT];
  struct iovec vectors[ENFILADE_BATCH_LIMIT];
  union any_address addresses[ENFILADE_BATCH_LIMIT];
  union segment_control controls[ENFILADE_BATCH_LIMIT];
  if (count > ENFILADE_BATCH_LIMIT) count = ENFILADE_BATCH_LIMIT;
  int built = 0;
  for (; built < count; built++) {
    const struct enfilade_datagram *datagram = &datagrams[built];
    struct msghdr *header = &messages[built].msg_hdr;
    socklen_t length = to_kernel(&datagram->address, socket_is_ipv6, &addresses[built]);
    if (length == 0) break;
    vectors[built] = (struct iovec){.iov_base = datagram->base, .iov_len = datagram->byte_count};
    *header = (struct msghdr){.msg_name = &addresses[built], .msg_namelen = length, .msg_iov = &vectors[built], .msg_iovlen = 1};
    messages[built].msg_len = 0;
    if (datagram->segment_byte_count != 0 && datagram->segment_byte_count < datagram->byte_count) {
      union segment_control *control = &controls[built];
      memset(control, 0, sizeof *control);
      control->header.cmsg_level = IPPROTO_UDP;
      control->header.cmsg_type = UDP_SEGMENT;
      control->header.cmsg_len = CMSG_LEN(sizeof(uint16_t));
      memcpy(CMSG_DATA(&control->header), &datagram->segment_byte_count, sizeof(uint16_t));
      header->msg_control = control;
      header->msg_controllen = sizeof *control;
    }
  }
  if (built == 0) return count == 0 ? 0 : -EAFNOSUPPORT;
  int sent = sendmmsg(fd, messages, (unsigned)built, MSG_DONTWAIT);
  return sent < 0 ? -errno : sent;
}

int enfilade_send_one(int fd, int socket_is_ipv6, const void *base, uint32_t byte_count, const struct enfilade_address *address) {
  union any_address to;
  socklen_t length = to_kernel(address, socket_is_ipv6, &to);
  if (length == 0) return -EAFNOSUPPORT;
  return sendto(fd, base, byte_count, MSG_DONTWAIT, &to.any, length) < 0 ? -errno : 0;
}

union receive_control {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

int enfilade_receive_batch(int fd, struct enfilade_datagram *datagrams, int count, uint32_t capacity) {
  struct mmsghdr messages[ENFILADE_BATCH_LIMIT];
  struct iovec vectors[ENFILADE_BATCH_LIMIT];
  union any_address addresses[ENFILADE_BATCH_LIMIT];
  union receive_control controls[ENFILADE_BATCH_LIMIT];
  if (count > ENFILADE_BATCH_LIMIT) count = ENFILADE_BATCH_LIMIT;
  for (int i = 0; i < count; i++) {
    vectors[i] = (struct iovec){.iov_base = datagrams[i].base, .iov_len = capacity};
    addresses[i].any.sa_family = AF_UNSPEC;
    messages[i].msg_hdr = (struct msghdr){.msg_name = &addresses[i],
                                          .msg_namelen = sizeof addresses[i],
                                          .msg_iov = &vectors[i],
                                          .msg_iovlen = 1,
                                          .msg_control = &controls[i],
                                          .msg_controllen = sizeof controls[i]};
    messages[i].msg_len = 0;
  }
  int received = recvmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT, NULL);
  if (received < 0) return -errno;
  for (int i = 0; i < received; i++) {
    struct msghdr *header = &messages[i].msg_hdr;
    struct enfilade_datagram *datagram = &datagrams[i];
    datagram->byte_count = messages[i].msg_len;
    datagram->segment_byte_count = 0;
    datagram->flags = header->msg_flags & MSG_TRUNC ? ENFILADE_DATAGRAM_TRUNCATED : 0;
    from_kernel(&addresses[i], &datagram->address);
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL; control = CMSG_NXTHDR(header, control)) {
      if (control->cmsg_level != IPPROTO_UDP || control->cmsg_type != UDP_GRO) continue;
      int size;
      memcpy(&size, CMSG_DATA(control), sizeof size);
      if (size > 0 && size <= UINT16_MAX && (uint32_t)size < datagram->byte_count) datagram->segment_byte_count = (uint16_t)size;
    }
  }
  return received;
}

// MARK: Sockets

int enfilade_wait_writable(int fd, int64_t timeout_nanoseconds) {
  struct pollfd wanted = {.fd = fd, .events = POLLOUT};
  struct timespec timeout = {timeout_nanoseconds / 1000000000, timeout_nanoseconds % 1000000000};
  return ppoll(&wanted, 1, &timeout, NULL) > 0 && (wanted.revents & POLLOUT) != 0;
}

int enfilade_udp_socket(int is_ipv6, int ipv6_only) {
  int fd = socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) return -errno;
  int only = ipv6_only ? 1 : 0;
  if (is_ipv6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) {
    int error = -errno;
    close(fd);
    return error;
  }
  return fd;
}

int enfilade_bind(int fd, int socket_is_ipv6, const struct enfilade_address *address) {
  union any_address local;
  socklen_t length = to_kernel(address, socket_is_ipv6, &local);
  if (length == 0) return -EAFNOSUPPORT;
  return bind(fd, &local.any, length) != 0 ? -errno : 0;
}

int enfilade_local_address(int fd, struct enfilade_address *address) {
  union any_address local;
  memset(&local, 0, sizeof local);
  socklen_t length = sizeof local;
  if (getsockname(fd, &local.any, &length) != 0) return -errno;
  from_kernel(&local, address);
  return 0;
}

int enfilade_tcp_listen(const struct enfilade_address *address, int ipv6_only, int backlog) {
  int fd = socket(address->is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return -errno;
  // A port whose last connections are in TIME_WAIT can be listened on again; one that another process listens on cannot.
  int only = ipv6_only ? 1 : 0, reuse = 1, error = 0;
  union any_address local;
  socklen_t length = to_kernel(address, address->is_ipv6, &local);
  if (address->is_ipv6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) error = -errno;
  if (error == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) != 0) error = -errno;
  if (error == 0 && bind(fd, &local.any, length) != 0) error = -errno;
  if (error == 0 && listen(fd, backlog) != 0) error = -errno;
  if (error == 0) return fd;
  close(fd);
  return error;
}

int enfilade_tcp_accept(int fd, struct enfilade_address *address, int unsent_byte_count) {
  union any_address remote;
  memset(&remote, 0, sizeof remote);
  socklen_t length = sizeof remote;
  int connection = accept4(fd, &remote.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (connection < 0) return -errno;
  int no_delay = 1;
  // Both make it faster; where the kernel refuses them, it works all the same.
  (void)setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
  (void)setsockopt(connection, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_byte_count, sizeof unsent_byte_count);
  from_kernel(&remote, address);
  return connection;
}

int enfilade_tcp_connect(const struct enfilade_address *address) {
  union any_address remote;
  socklen_t length = to_kernel(address, address->is_ipv6, &remote);
  int fd = socket(address->is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return -errno;
  int no_delay = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
  if (connect(fd, &remote.any, length) == 0 || errno == EINPROGRESS) return fd;
  int error = -errno;
  close(fd);
  return error;
}

long enfilade_tcp_send(int fd, const void *base, size_t byte_count) {
  ssize_t sent = send(fd, base, byte_count, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? -errno : sent;
}

long enfilade_tcp_receive(int fd, void *base, size_t byte_count) {
  ssize_t received = recv(fd, base, byte_count, MSG_DONTWAIT);
  return received < 0 ? -errno : received;
}

static int option_level(enum enfilade_option option) {
  return option == ENFILADE_OPTION_UDP_GRO || option == ENFILADE_OPTION_UDP_SEGMENT ? IPPROTO_UDP : SOL_SOCKET;
}

static int option_name(enum enfilade_option option) {
  switch (option) {
    case ENFILADE_OPTION_RECEIVE_BUFFER: return SO_RCVBUF;
    case ENFILADE_OPTION_SEND_BUFFER: return SO_SNDBUF;
    case ENFILADE_OPTION_REUSE_PORT: return SO_REUSEPORT;
    case ENFILADE_OPTION_UDP_GRO: return UDP_GRO;
    case ENFILADE_OPTION_UDP_SEGMENT: return UDP_SEGMENT;
  }
  return -1;
}

int enfilade_set_option(int fd, enum enfilade_option option, int value) {
  if (option == ENFILADE_OPTION_RECEIVE_BUFFER && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof value) == 0) return 0;
  if (option == ENFILADE_OPTION_SEND_BUFFER && setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &value, sizeof value) == 0) return 0;
  return setsockopt(fd, option_level(option), option_name(option), &value, sizeof value) != 0 ? -errno : 0;
}

int enfilade_get_option(int fd, enum enfilade_option option, int *value) {
  socklen_t length = sizeof *value;
  return getsockopt(fd, option_level(option), option_name(option), value, &length) != 0 ? -errno : 0;
}

// MARK: Waiting

_Static_assert(ENFILADE_POLL_READABLE == EPOLLIN && ENFILADE_POLL_WRITABLE == EPOLLOUT, "sys/epoll.h");
_Static_assert(ENFILADE_POLL_FAILED == EPOLLERR && ENFILADE_POLL_CLOSED == EPOLLHUP, "sys/epoll.h");

int enfilade_poll_open(void) {
  int fd = epoll_create1(EPOLL_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int enfilade_poll(int fd, uint64_t *tokens, uint32_t *masks, int count, int64_t timeout_nanoseconds) {
  struct epoll_event events[ENFILADE_BATCH_LIMIT];
  if (count > ENFILADE_BATCH_LIMIT) count = ENFILADE_BATCH_LIMIT;
  struct timespec timeout = {.tv_sec = timeout_nanoseconds / 1000000000, .tv_nsec = timeout_nanoseconds % 1000000000};
  int ready = epoll_pwait2(fd, events, count, timeout_nanoseconds < 0 ? NULL : &timeout, NULL);
  if (ready < 0 && errno == ENOSYS) {
    // Before Linux 5.11: milliseconds, rounded up so that a deadline is never early.
    int64_t milliseconds = timeout_nanoseconds < 0 ? -1 : (timeout_nanoseconds + 999999) / 1000000;
    ready = epoll_wait(fd, events, count, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds);
  }
  if (ready < 0) return -errno;
  for (int i = 0; i < ready; i++) {
    tokens[i] = events[i].data.u64;
    masks[i] = events[i].events;
  }
  return ready;
}

int enfilade_poll_control(int fd, enum enfilade_poll_operation operation, int target, uint32_t mask, uint64_t token) {
  static const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
  struct epoll_event event = {.events = mask, .data.u64 = token};
  return epoll_ctl(fd, operations[operation], target, &event) != 0 ? -errno : 0;
}

int enfilade_wake_up_open(void) {
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

void enfilade_wake_up_signal(int fd) {
  // A full counter refuses the write, and then the descriptor is readable anyway.
  (void)eventfd_write(fd, 1);
}

int enfilade_wake_up_drain(int fd) {
  eventfd_t count;
  return eventfd_read(fd, &count) == 0;
}

// MARK: Threads and dice

int enfilade_name_thread(const char *name, int cpu) {
  char shortened[16] = {0};
  strncpy(shortened, name, sizeof shortened - 1);
  int error = pthread_setname_np(pthread_self(), shortened);
  if (error != 0 || cpu < 0) return -error;
  if (cpu >= CPU_SETSIZE) return -EINVAL;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int enfilade_processor_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

int enfilade_random(void *buffer, size_t byte_count) {
  uint8_t *next = buffer;
  while (byte_count > 0) {
    ssize_t got = getrandom(next, byte_count, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    next += got;
    byte_count -= (size_t)got;
  }
  return 0;
}
