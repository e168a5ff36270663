// `perceive info`: what this program is and what it found on this machine.
#pragma once

#include <string>

namespace perceive::cli {

std::string info();

}  // namespace perceive::cli
