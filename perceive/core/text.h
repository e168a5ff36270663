// Small things about names and numbers that messages are made of.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace perceive::core {

// "a, b, c"
std::string join(const std::vector<std::string>& words, std::string_view separator = ", ");
// 'text', with control characters escaped and a long one cut, so that it can stand in a message.
std::string in_quotes(std::string_view text);

// `text` on one line, with … for what is behind the first `most` characters.
std::string shortened(std::string_view text, size_t most);

// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b);
// The candidate a user who wrote `name` most likely meant, or "" where none is close. Letter case does not count.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

// The offset of the first byte that is not UTF-8, or npos.
size_t first_invalid_utf8(std::string_view text);

// The shortest decimal text that reads back as the same double, with '.' in every locale: "0.001", "50", "inf", "nan".
std::string shortest(double number);

}  // namespace perceive::core
