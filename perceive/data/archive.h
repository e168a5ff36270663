// Files out of a packed archive.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "perceive/data/text/texts.h"

namespace perceive::data {

// The regular files of `path` (tar, zip and others, packed or not) whose name is `wanted`, in the order of their names.
// Nothing is written. Throws core::DataError that names `path` where it is no archive, ends early, or what is wanted of
// it would take more than half of the machine's memory.
std::vector<NamedText> read_archive(const std::string& path,
                                    const std::function<bool(const std::string& name)>& wanted);

}  // namespace perceive::data
