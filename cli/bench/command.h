// `perceive bench SUITE`: measures this program against libtorch's own ways in the same run.
#pragma once

#include "cli/command.h"

namespace perceive::cli::bench {

Command bench_command();

}  // namespace perceive::cli::bench
