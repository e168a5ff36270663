// Fuzz target: the input is the data.pkl of a file of torch.save, whose checksum would stop a fuzzer, with storages
// beside it.
#include "perceive/io/formats/zip_writer.h"
#include "tests/fuzz/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return perceive::fuzz::run(data, size, [](std::string_view pickle) {
    std::string archive;
    perceive::io::zip::Writer writer([&](std::string_view piece) { archive += piece; });
    writer.add("a/data.pkl", pickle);
    for (int i = 0; i < 6; ++i) writer.add("a/data/" + std::to_string(i), std::string(size_t{8} * i, 'x'));
    writer.finish();
    perceive::fuzz::read_checkpoint(archive);
  });
}
