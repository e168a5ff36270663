// How the text models of perceiver-io 0.2.1 are called.
#include "perceive/models/dialects/perceiver_io/text_input.h"

#include <ATen/ATen.h>

#include "perceive/models/text_masking.h"

namespace perceive::models::perceiver_io {

at::Tensor mask_of_text(const at::Tensor& ids, const at::Tensor& pad_mask, int64_t max_seq_len) {
  TORCH_CHECK_VALUE(ids.dim() == 2 && ids.size(0) > 0 && ids.size(1) > 0, "x: expected token ids [B, l]; got ",
                    ids.sizes());
  TORCH_CHECK_VALUE(ids.size(1) <= max_seq_len, "x: a text of ", ids.size(1),
                    " tokens is longer than encoder.max_seq_len, ", max_seq_len, "; cut it off there");
  check_pad_mask(ids, pad_mask);
  return pad_mask.defined() ? pad_mask.logical_not() : pad_mask;
}

}  // namespace perceive::models::perceiver_io
