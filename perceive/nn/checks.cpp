// Checks of single options.
#include "perceive/nn/checks.h"

#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"

namespace perceive::nn {

void require_at_least(const std::string& key, int64_t value, int64_t least) {
  if (value < least) throw core::ConfigError(c10::str(key, " must be at least ", least, "; got ", value));
}

void require_dropout(const std::string& key, double value) {
  // Written so that NaN fails too.
  if (!(value >= 0.0 && value < 1.0)) {
    throw core::ConfigError(c10::str(key, " is a probability and must be in [0, 1); got ", value));
  }
}

void require_divides(const std::string& heads_key, int64_t heads, const std::string& channels_key, int64_t channels) {
  require_at_least(heads_key, heads, 1);
  require_at_least(channels_key, channels, 1);
  if (channels % heads != 0) {
    throw core::ConfigError(c10::str(channels_key, " must be divisible by ", heads_key, "; got ", channels,
                                     " channels for ", heads, " heads"));
  }
}

}  // namespace perceive::nn
