// How the text models of perceiver-io 0.2.1 are called.
#pragma once

#include <ATen/core/Tensor.h>

namespace perceive::models::perceiver_io {

// Which tokens count, bool [B, l], for the native model. ids [B, l], l at most max_seq_len; pad_mask: bool [B, l], true
// where a token is padding, or undefined: so is what is returned. A text of nothing but padding is read as the mean of
// all its tokens, as in the original. Throws c10::ValueError.
at::Tensor mask_of_text(const at::Tensor& ids, const at::Tensor& pad_mask, int64_t max_seq_len);

}  // namespace perceive::models::perceiver_io
