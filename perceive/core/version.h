// The version of perceive.
#pragma once

namespace perceive::core {

const char* version();  // "major.minor.patch"

}  // namespace perceive::core
