// Tensors in several files with an index of them; callers use tensors.h.
#pragma once

#include <filesystem>
#include <functional>

#include "perceive/io/tensors.h"

namespace perceive::io {

// Whether the name ends in .index.json.
bool is_index(const std::filesystem::path& path);

// Format (Hugging Face's transformers, save_pretrained): {"metadata": {…}, "weight_map": {"<tensor>": "<file>"}}, the
// files beside the index. Each must hold just the tensors that the index has in it. Throws core::FileError that names
// the index and, of all missing files and tensors, the first ones. `load` reads one file.
Tensors load_sharded(const std::filesystem::path& index, Metadata* metadata,
                     const std::function<Tensors(const std::filesystem::path&)>& load);

}  // namespace perceive::io
