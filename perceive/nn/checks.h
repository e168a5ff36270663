// Checks of single options; each message names the key, what was expected and what came.
#pragma once

#include <cstdint>
#include <string>

namespace perceive::nn {

// All throw core::ConfigError.
void require_at_least(const std::string& key, int64_t value, int64_t least);
// In [0, 1).
void require_dropout(const std::string& key, double value);
// `heads` must divide `channels`; both keys are named.
void require_divides(const std::string& heads_key, int64_t heads, const std::string& channels_key, int64_t channels);

}  // namespace perceive::nn
