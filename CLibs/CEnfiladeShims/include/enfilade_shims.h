// What Swift cannot say: control messages, the vectored datagram calls, and variadic functions. Nothing else belongs here.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Asks for a cache line that will be written soon. A hint: it reads and changes nothing, wherever it points.
static inline void enfilade_prefetch(const void *line) { __builtin_prefetch(line, 1, 3); }

/// A transport address; addresses in host order, IPv4 in the low half of `low`. The same shape as EnfiladeWire's SocketAddress.
struct enfilade_address {
  uint64_t high;
  uint64_t low;
  uint16_t port;
  uint8_t is_ipv6;
  /// Not zero for the far end of a TCP connection, which no datagram call takes.
  uint8_t is_tcp;
  uint32_t scope;
};

/// One message of a batch. Sending: `byte_count` bytes at `base`, cut by the kernel every `segment_byte_count` bytes (0: not cut).
/// Receiving: room at `base`; the kernel's answer in the other fields (`segment_byte_count` 0: one datagram).
struct enfilade_datagram {
  void *base;
  uint32_t byte_count;
  uint16_t segment_byte_count;
  uint16_t flags;
  struct enfilade_address address;
};

enum {
  /// Received: the message did not fit and lost its end.
  ENFILADE_DATAGRAM_TRUNCATED = 1,
  /// The most messages one call takes; its scratch lives on the stack.
  ENFILADE_BATCH_LIMIT = 64,
};

/// sendmmsg of the first `count` (at most ENFILADE_BATCH_LIMIT) messages without blocking. How many the kernel took, or -errno of
/// the first. `socket_is_ipv6` makes IPv4 addresses mapped ones.
int enfilade_send_batch(int fd, int socket_is_ipv6, const struct enfilade_datagram *datagrams, int count);

/// One datagram without segmentation, without blocking: 0 or -errno.
int enfilade_send_one(int fd, int socket_is_ipv6, const void *base, uint32_t byte_count, const struct enfilade_address *address);

/// recvmmsg of at most `count` (at most ENFILADE_BATCH_LIMIT) messages of at most `capacity` bytes each without blocking. How many
/// came, or -errno.
int enfilade_receive_batch(int fd, struct enfilade_datagram *datagrams, int count, uint32_t capacity);

/// Waits until the socket takes more, at most so long: whether it does.
int enfilade_wait_writable(int fd, int64_t timeout_nanoseconds);

/// A non-blocking UDP socket that closes on exec: the descriptor, or -errno.
int enfilade_udp_socket(int is_ipv6, int ipv6_only);
/// Binds to `address`, mapped if need be: 0 or -errno.
int enfilade_bind(int fd, int socket_is_ipv6, const struct enfilade_address *address);
/// The address a socket is bound to: 0 or -errno.
int enfilade_local_address(int fd, struct enfilade_address *address);

/// A non-blocking TCP socket that listens and closes on exec, bound to `address`: the descriptor, or -errno.
int enfilade_tcp_listen(const struct enfilade_address *address, int ipv6_only, int backlog);
/// Takes the next connection, non-blocking, without Nagle's wait, and with at most `unsent_byte_count` bytes that the kernel keeps before they
/// are sent: the descriptor and where it comes from, or -errno.
int enfilade_tcp_accept(int fd, struct enfilade_address *address, int unsent_byte_count);
/// A non-blocking connection to `address`, begun: the descriptor, or -errno.
int enfilade_tcp_connect(const struct enfilade_address *address);
/// Sends without blocking and without a signal: how many bytes were taken, or -errno.
long enfilade_tcp_send(int fd, const void *base, size_t byte_count);
/// Receives without blocking: how many bytes came, 0 at the end, or -errno.
long enfilade_tcp_receive(int fd, void *base, size_t byte_count);

enum enfilade_option {
  ENFILADE_OPTION_RECEIVE_BUFFER,
  ENFILADE_OPTION_SEND_BUFFER,
  ENFILADE_OPTION_REUSE_PORT,
  ENFILADE_OPTION_UDP_GRO,
  ENFILADE_OPTION_UDP_SEGMENT,
};

/// setsockopt of an integer: 0 or -errno. Buffers are first asked for with the privilege that may pass the system's limit.
int enfilade_set_option(int fd, enum enfilade_option option, int value);
/// getsockopt of an integer: 0 or -errno.
int enfilade_get_option(int fd, enum enfilade_option option, int *value);

/// Waits for events with a timeout in nanoseconds (negative: for ever). How many, or -errno. Each event is told by the caller's token
/// and its mask.
int enfilade_poll(int fd, uint64_t *tokens, uint32_t *masks, int count, int64_t timeout_nanoseconds);
/// The masks of epoll(7).
enum {
  ENFILADE_POLL_READABLE = 0x01,
  ENFILADE_POLL_WRITABLE = 0x04,
  ENFILADE_POLL_FAILED = 0x08,
  ENFILADE_POLL_CLOSED = 0x10,
};

/// epoll_create1, closed on exec: the descriptor, or -errno.
int enfilade_poll_open(void);

enum enfilade_poll_operation { ENFILADE_POLL_ADD, ENFILADE_POLL_CHANGE, ENFILADE_POLL_REMOVE };
/// epoll_ctl: 0 or -errno.
int enfilade_poll_control(int fd, enum enfilade_poll_operation operation, int target, uint32_t mask, uint64_t token);

/// A non-blocking event counter that closes on exec: the descriptor, or -errno.
int enfilade_wake_up_open(void);
/// Makes the descriptor readable; never blocks.
void enfilade_wake_up_signal(int fd);
/// Makes it unreadable again; whether it was readable.
int enfilade_wake_up_drain(int fd);

/// Names the calling thread (15 bytes count) and, if `cpu` is not negative, ties it to that processor: 0 or -errno.
int enfilade_name_thread(const char *name, int cpu);
/// How many processors this process may run on.
int enfilade_processor_count(void);
/// Fills `buffer` with random bytes from the system: 0 or -errno.
int enfilade_random(void *buffer, size_t byte_count);

#ifdef __cplusplus
}
#endif
