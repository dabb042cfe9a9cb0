// libvpx, and its variadic control said without variable arguments.
#pragma once

#include <vpx/vp8cx.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vpx_encoder.h>

/// A control that takes a number.
static inline vpx_codec_err_t enfilade_vpx_control(vpx_codec_ctx_t *codec, int control, int value) {
  return vpx_codec_control_(codec, control, value);
}

/// A control that takes or fills what `value` points to.
static inline vpx_codec_err_t enfilade_vpx_control_pointer(vpx_codec_ctx_t *codec, int control, void *value) {
  return vpx_codec_control_(codec, control, value);
}
