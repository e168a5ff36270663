#include <ATen/Context.h>
#include <ATen/Version.h>

#include <cstdio>
int main(int argc, char** argv) {
  if (argc > 1) std::puts(at::show_config().c_str());
  return 0;
}
