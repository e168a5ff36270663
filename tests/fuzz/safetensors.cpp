// Fuzz target: the input is a safetensors file.
#include "perceive/io/formats/safetensors.h"

#include "tests/fuzz/target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace perceive::io;
  return perceive::fuzz::run(data, size, [](std::string_view file) {
    const uint64_t bytes = safetensors::header_bytes(file.substr(0, safetensors::kLengthBytes), file.size(), "input");
    const auto header = safetensors::parse_header(file.substr(safetensors::kLengthBytes, bytes), file.size(), "input");
    uint64_t end = 0;
    for (const auto& entry : header.entries) {
      perceive::fuzz::expect(entry.begin == end && entry.end >= end);
      end = entry.end;
    }
    perceive::fuzz::expect(end == file.size() - safetensors::kLengthBytes - bytes);
    // What was read can be written, and reads as the same.
    auto copy = header;
    const std::string start = safetensors::lay_out(copy, "input");
    const auto again = safetensors::parse_header(std::string_view(start).substr(safetensors::kLengthBytes),
                                                 start.size() + end, "input");
    perceive::fuzz::expect(again.entries.size() == header.entries.size() && again.metadata == header.metadata);
  });
}
