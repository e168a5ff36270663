// Fuzz target: the input is a .npy file.
#include "perceive/io/formats/npy.h"

#include "tests/fuzz/target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace perceive::io;
  return perceive::fuzz::run(data, size, [](std::string_view file) {
    const auto header = npy::parse_header(file.substr(0, npy::kMaxHeaderBytes), file.size(), "input");
    __int128 bytes = npy::info(header.dtype).bytes;
    for (const int64_t axis : header.shape) {
      perceive::fuzz::expect(axis >= 0);
      bytes *= axis;
    }
    perceive::fuzz::expect(bytes == file.size() - header.data);
  });
}
