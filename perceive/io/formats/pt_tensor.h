// The tensors in a pickle of PyTorch, and the records of the archive that their storages are.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "perceive/io/formats/pickle.h"
#include "perceive/io/formats/pt.h"
#include "perceive/io/formats/zip.h"

namespace perceive::io::pt {

// The dtype that a global such as torch.float32 is, or null.
const DtypeInfo* dtype_of(const pickle::Graph& graph, pickle::Ref ref);
// Whether it is a call of a function of torch._utils that makes a dense tensor or a parameter.
bool is_tensor(const pickle::Graph& graph, pickle::Ref ref);

class TensorReader {
 public:
  // `folder` of the archive, ending in '/'.
  TensorReader(const zip::Archive& archive, std::string folder, const pickle::Graph& graph)
      : archive_(archive), folder_(std::move(folder)), graph_(graph) {}

  // What the call at `ref`, for which is_tensor(), makes. Throws core::FileError where sizes, strides, offset, storage
  // and record do not fit each other: nothing is read, or allocated by those numbers.
  Tensor read(pickle::Ref ref, const std::string& name);
  // Of the tensors read so far.
  const std::vector<const zip::Entry*>& storages() const { return storages_; }

 private:
  class Call;

  const zip::Archive& archive_;
  std::string folder_;
  const pickle::Graph& graph_;
  std::vector<const zip::Entry*> storages_;
  std::unordered_map<const zip::Entry*, size_t> index_;
};

}  // namespace perceive::io::pt
