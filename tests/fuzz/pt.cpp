// Fuzz target: the input is a file of torch.save.
#include "tests/fuzz/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return perceive::fuzz::run(data, size, perceive::fuzz::read_checkpoint);
}
