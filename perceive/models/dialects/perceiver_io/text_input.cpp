// How the text models of perceiver-io 0.2.1 are called.
#include "perceive/models/dialects/perceiver_io/text_input.h"

#include <c10/util/Exception.h>

namespace perceive::models::perceiver_io {

at::Tensor read_text(models::PerceiverIO& model, const at::Tensor& ids, const at::Tensor& pad_mask,
                     int64_t max_seq_len) {
  TORCH_CHECK_VALUE(ids.dim() == 2 && ids.size(0) > 0 && ids.size(1) > 0, "x: expected token ids [B, l]; got ",
                    ids.sizes());
  TORCH_CHECK_VALUE(ids.size(1) <= max_seq_len, "x: a text of ", ids.size(1),
                    " tokens is longer than encoder.max_seq_len, ", max_seq_len, "; cut it off there");
  check_pad_mask(ids, pad_mask);
  return model->forward(ids, pad_mask.defined() ? pad_mask.logical_not() : pad_mask);
}

void check_pad_mask(const at::Tensor& ids, const at::Tensor& pad_mask) {
  if (!pad_mask.defined()) return;
  TORCH_CHECK_VALUE(pad_mask.scalar_type() == at::kBool && pad_mask.sizes() == ids.sizes(), "pad_mask: expected bool ",
                    ids.sizes(), ", true where a token is padding; got ", pad_mask.scalar_type(), " ",
                    pad_mask.sizes());
}

}  // namespace perceive::models::perceiver_io
