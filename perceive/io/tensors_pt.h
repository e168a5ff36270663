// Named tensors in PyTorch's checkpoints; callers use tensors.h.
#pragma once

#include "perceive/io/files.h"
#include "perceive/io/tensors.h"

namespace perceive::io {

// Tensors that are tied in the file share their storage. The metadata: what stands in the file's outermost mapping
// beside tensors and state dict, as it is where it is a string, and as JSON otherwise.
Tensors load_pt(const InputFile& file, Metadata* metadata);
// Each storage once; one that is viewed in two dtypes once for each.
void save_pt(const std::filesystem::path& path, const Tensors& tensors, const Metadata& metadata);

}  // namespace perceive::io
