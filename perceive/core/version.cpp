// The version of perceive, as the build system states it.
#include "perceive/core/version.h"

namespace perceive::core {

const char* version() {
  return PERCEIVE_VERSION;
}

}  // namespace perceive::core
