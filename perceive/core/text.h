// Small things about names and words that messages are made of.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace perceive::core {

// "a, b, c"
std::string join(const std::vector<std::string>& words, std::string_view separator = ", ");
// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);
// The candidate a user who wrote `name` most likely meant, or "" where none is close.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);
// The offset of the first byte that is not UTF-8, or npos.
size_t first_invalid_utf8(std::string_view text);
// The shortest decimal text that reads back as the same double, with '.' in every locale: "0.001", "50", "inf", "nan".
std::string shortest(double number);
// With `decimals` digits behind the point, or in exponent form where that would hide a small or very large number.
std::string rounded(double number, int decimals);

}  // namespace perceive::core
