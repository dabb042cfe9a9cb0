// Intel's multi-buffer library, and what it says in macros and unions said in functions, prefixed.
#pragma once

#include <intel-ipsec-mb.h>
#include <stdint.h>
#include <string.h>

/// A direction's AES-CM and HMAC-SHA1 keys in the form the library takes. To stand at a multiple of 64 bytes.
struct enfilade_imb_cm_key {
  uint8_t rounds[16 * 15];
  uint8_t unused[16];
  uint8_t inner[32];
  uint8_t outer[32];
};

enum {
  /// A job's tag is written here whole: the library cuts HMAC-SHA1 to 12 bytes, the profile to 10.
  ENFILADE_IMB_TAG_STRIDE = 16,
  ENFILADE_IMB_COMPLETED = IMB_STATUS_COMPLETED,
};

_Static_assert(IMB_STATUS_COMPLETED == 3, "intel-ipsec-mb.h");
_Static_assert(sizeof(struct enfilade_imb_cm_key) % 64 == 0, "keys stand in rows");

static inline IMB_MGR *enfilade_imb_open(void) {
  IMB_MGR *manager = alloc_mb_mgr(0);
  if (manager != NULL) init_mb_mgr_auto(manager, NULL);
  return manager;
}

/// Whether the processor does AES and carry-less multiplication by itself.
static inline int enfilade_imb_is_fast(const IMB_MGR *manager) {
  const uint64_t wanted = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SSE4_2;
  return (manager->features & wanted) == wanted;
}

// MARK: AES-GCM, one packet at a time

static inline void enfilade_imb_gcm_key(IMB_MGR *manager, int is_256, const uint8_t *key, struct gcm_key_data *out) {
  if (is_256)
    IMB_AES256_GCM_PRE(manager, key, out);
  else
    IMB_AES128_GCM_PRE(manager, key, out);
}

static inline void enfilade_imb_gcm_seal(IMB_MGR *manager, int is_256, const struct gcm_key_data *key, struct gcm_context_data *context,
                                         uint8_t *to, const uint8_t *from, uint64_t byte_count, const uint8_t *iv, const uint8_t *header,
                                         uint64_t header_byte_count, uint8_t *tag) {
  if (is_256)
    IMB_AES256_GCM_ENC(manager, key, context, to, from, byte_count, iv, header, header_byte_count, tag, 16);
  else
    IMB_AES128_GCM_ENC(manager, key, context, to, from, byte_count, iv, header, header_byte_count, tag, 16);
}

static inline void enfilade_imb_gcm_open(IMB_MGR *manager, int is_256, const struct gcm_key_data *key, struct gcm_context_data *context,
                                         uint8_t *to, const uint8_t *from, uint64_t byte_count, const uint8_t *iv, const uint8_t *header,
                                         uint64_t header_byte_count, uint8_t *tag) {
  if (is_256)
    IMB_AES256_GCM_DEC(manager, key, context, to, from, byte_count, iv, header, header_byte_count, tag, 16);
  else
    IMB_AES128_GCM_DEC(manager, key, context, to, from, byte_count, iv, header, header_byte_count, tag, 16);
}

// MARK: AES-CM with HMAC-SHA1, many packets in flight

/// Expands a 16-byte cipher key and a 20-byte authentication key.
static inline void enfilade_imb_cm_key(IMB_MGR *manager, const uint8_t *cipher_key, const uint8_t *auth_key,
                                       struct enfilade_imb_cm_key *out) {
  uint8_t unused[16 * 15] __attribute__((aligned(64)));
  uint8_t block[64];
  IMB_AES_KEYEXP_128(manager, cipher_key, out->rounds, unused);
  for (int i = 0; i < 64; i++) block[i] = (uint8_t)((i < 20 ? auth_key[i] : 0) ^ 0x36);
  IMB_SHA1_ONE_BLOCK(manager, block, out->inner);
  for (int i = 0; i < 64; i++) block[i] = (uint8_t)((i < 20 ? auth_key[i] : 0) ^ 0x5C);
  IMB_SHA1_ONE_BLOCK(manager, block, out->outer);
  imb_clear_mem(unused, sizeof unused);
  imb_clear_mem(block, sizeof block);
}

/// One packet's work. Encrypting: cipher first, then the hash over what it wrote. Decrypting: the other way round.
struct enfilade_imb_cm_work {
  const struct enfilade_imb_cm_key *key;
  /// 16 bytes that live until the job is done.
  const uint8_t *iv;
  const uint8_t *from;
  uint8_t *to;
  uint64_t byte_count;
  const uint8_t *hash_from;
  uint64_t hash_byte_count;
  /// ENFILADE_IMB_TAG_STRIDE bytes that live until the job is done.
  uint8_t *tag;
  /// Where the outcome is written: ENFILADE_IMB_COMPLETED or an error.
  uint8_t *status;
  int encrypts;
};

static inline void enfilade_imb_cm_take(IMB_JOB *job) { *(uint8_t *)job->user_data = (uint8_t)job->status; }

/// Takes work in; finishes some of what was taken before.
static inline void enfilade_imb_cm_submit(IMB_MGR *manager, const struct enfilade_imb_cm_work *work) {
  IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
  job->cipher_mode = work->byte_count == 0 ? IMB_CIPHER_NULL : IMB_CIPHER_CNTR;
  job->hash_alg = IMB_AUTH_HMAC_SHA_1;
  job->cipher_direction = work->encrypts ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
  job->chain_order = work->encrypts ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  job->enc_keys = work->key->rounds;
  job->dec_keys = work->key->rounds;
  job->key_len_in_bytes = 16;
  job->iv = work->iv;
  job->iv_len_in_bytes = 16;
  job->src = work->from;
  job->dst = work->to;
  job->cipher_start_src_offset_in_bytes = 0;
  job->msg_len_to_cipher_in_bytes = work->byte_count;
  // The library adds this to `src`; the sum is what counts, so what is hashed may lie anywhere.
  job->hash_start_src_offset_in_bytes = (uint64_t)((uintptr_t)work->hash_from - (uintptr_t)work->from);
  job->msg_len_to_hash_in_bytes = work->hash_byte_count;
  job->auth_tag_output = work->tag;
  job->auth_tag_output_len_in_bytes = 12;
  job->u.HMAC._hashed_auth_key_xor_ipad = work->key->inner;
  job->u.HMAC._hashed_auth_key_xor_opad = work->key->outer;
  job->user_data = work->status;
  for (job = IMB_SUBMIT_JOB_NOCHECK(manager); job != NULL; job = IMB_GET_COMPLETED_JOB(manager)) enfilade_imb_cm_take(job);
}

/// Finishes everything that was taken.
static inline void enfilade_imb_cm_flush(IMB_MGR *manager) {
  for (IMB_JOB *job = IMB_FLUSH_JOB(manager); job != NULL; job = IMB_FLUSH_JOB(manager)) enfilade_imb_cm_take(job);
}

/// AES in counter mode over zeros: the pseudo-random function of RFC 3711 §4.3.3. 1 when it succeeded. Nothing else may be in flight.
static inline int enfilade_imb_keystream(IMB_MGR *manager, int is_256, const uint8_t *key, const uint8_t *iv, uint8_t *out,
                                         uint64_t byte_count) {
  uint8_t rounds[16 * 15] __attribute__((aligned(64)));
  uint8_t unused[16 * 15] __attribute__((aligned(64)));
  if (is_256)
    IMB_AES_KEYEXP_256(manager, key, rounds, unused);
  else
    IMB_AES_KEYEXP_128(manager, key, rounds, unused);
  memset(out, 0, byte_count);
  IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
  job->cipher_mode = IMB_CIPHER_CNTR;
  job->hash_alg = IMB_AUTH_NULL;
  job->cipher_direction = IMB_DIR_ENCRYPT;
  job->chain_order = IMB_ORDER_CIPHER_HASH;
  job->enc_keys = rounds;
  job->dec_keys = rounds;
  job->key_len_in_bytes = is_256 ? 32 : 16;
  job->iv = iv;
  job->iv_len_in_bytes = 16;
  job->src = out;
  job->dst = out;
  job->cipher_start_src_offset_in_bytes = 0;
  job->msg_len_to_cipher_in_bytes = byte_count;
  job->hash_start_src_offset_in_bytes = 0;
  job->msg_len_to_hash_in_bytes = 0;
  job = IMB_SUBMIT_JOB(manager);
  if (job == NULL) job = IMB_FLUSH_JOB(manager);
  int succeeded = job != NULL && job->status == IMB_STATUS_COMPLETED;
  imb_clear_mem(rounds, sizeof rounds);
  imb_clear_mem(unused, sizeof unused);
  return succeeded;
}
