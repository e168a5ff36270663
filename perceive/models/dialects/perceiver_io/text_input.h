// How the text models of perceiver-io 0.2.1 are called.
#pragma once

#include "perceive/models/perceiver_io.h"

namespace perceive::models::perceiver_io {

// Token ids [B, l], l at most max_seq_len; pad_mask: bool [B, l], true where a token is padding, or undefined. A text
// of nothing but padding is read as the mean of all its tokens, as in the original. Throws c10::ValueError.
at::Tensor read_text(models::PerceiverIO& model, const at::Tensor& ids, const at::Tensor& pad_mask,
                     int64_t max_seq_len);

}  // namespace perceive::models::perceiver_io
