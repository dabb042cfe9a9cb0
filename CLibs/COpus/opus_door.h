// Opus, and its variadic controls said without variable arguments.
#pragma once

#include <opus/opus.h>
#include <opus/opus_multistream.h>

/// An encoder control that takes a number: OPUS_OK or an error.
static inline int enfilade_opus_encoder_set(OpusEncoder *encoder, int request, opus_int32 value) {
  return opus_encoder_ctl(encoder, request, value);
}

/// An encoder control that gives a number.
static inline int enfilade_opus_encoder_get(OpusEncoder *encoder, int request, opus_int32 *value) {
  return opus_encoder_ctl(encoder, request, value);
}

/// OPUS_RESET_STATE of an encoder.
static inline int enfilade_opus_encoder_reset(OpusEncoder *encoder) { return opus_encoder_ctl(encoder, OPUS_RESET_STATE); }

/// A decoder control that takes a number.
static inline int enfilade_opus_decoder_set(OpusDecoder *decoder, int request, opus_int32 value) {
  return opus_decoder_ctl(decoder, request, value);
}

/// A decoder control that gives a number.
static inline int enfilade_opus_decoder_get(OpusDecoder *decoder, int request, opus_int32 *value) {
  return opus_decoder_ctl(decoder, request, value);
}

/// OPUS_RESET_STATE of a decoder.
static inline int enfilade_opus_decoder_reset(OpusDecoder *decoder) { return opus_decoder_ctl(decoder, OPUS_RESET_STATE); }
