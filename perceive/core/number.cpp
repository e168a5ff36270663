// Decimal numbers as people write them, read strictly and without regard to the locale.
#include "perceive/core/number.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace perceive::core {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// ± digits · 10^exponent; no digits for zero, and the last of them is not 0.
struct Decimal {
  bool negative = false;
  std::string digits;
  int64_t exponent = 0;
};

// Takes digits, with single underscores between them, from the front of `text`.
std::string take_digits(std::string_view* text) {
  std::string digits;
  while (!text->empty()) {
    const bool underscore = text->front() == '_' && !digits.empty() && text->size() > 1 && is_digit((*text)[1]);
    if (!underscore && !is_digit(text->front())) break;
    if (!underscore) digits += text->front();
    text->remove_prefix(1);
  }
  return digits;
}

bool take_sign(std::string_view* text) {
  if (text->empty() || (text->front() != '-' && text->front() != '+')) return false;
  const bool negative = text->front() == '-';
  text->remove_prefix(1);
  return negative;
}

NumberResult read_decimal(std::string_view text, Decimal* decimal) {
  decimal->negative = take_sign(&text);
  if (text.starts_with("0x") || text.starts_with("0X")) return {false, "write it in decimal"};
  const std::string whole = take_digits(&text);
  std::string fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(&text);
  }
  if (whole.empty() && fraction.empty()) return {false, ""};
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    const bool negative = take_sign(&text);
    const std::string digits = take_digits(&text);
    if (digits.empty()) return {false, ""};
    constexpr int64_t kLargest = 1'000'000'000;  // beyond any number; stays clear of overflow
    int64_t exponent = kLargest;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    exponent = error == std::errc{} ? std::min(exponent, kLargest) : kLargest;
    decimal->exponent = negative ? -exponent : exponent;
  }
  if (!text.empty()) return {false, ""};
  if (whole.size() > 1 && whole[0] == '0') return {false, "drop the leading zero, which means octal elsewhere"};

  decimal->digits = whole + fraction;
  decimal->exponent -= static_cast<int64_t>(fraction.size());
  decimal->digits.erase(0, decimal->digits.find_first_not_of('0'));
  while (decimal->digits.ends_with('0')) {
    decimal->digits.pop_back();
    ++decimal->exponent;
  }
  return {};
}

std::optional<double> read_infinity_or_nan(std::string_view text) {
  const bool negative = take_sign(&text);
  if (text.starts_with('.')) text.remove_prefix(1);
  const auto is = [&](const char* a, const char* b, const char* c) { return text == a || text == b || text == c; };
  const double infinity = std::numeric_limits<double>::infinity();
  if (is("inf", "Inf", "INF")) return negative ? -infinity : infinity;
  if (is("nan", "NaN", "NAN")) return std::numeric_limits<double>::quiet_NaN();
  return std::nullopt;
}

}  // namespace

NumberResult read_number(std::string_view text, int64_t* number) {
  Decimal decimal;
  if (const auto result = read_decimal(text, &decimal); !result.ok) return result;
  if (decimal.digits.empty()) {
    *number = 0;
    return {};
  }
  if (decimal.exponent < 0) return {false, ""};
  const NumberResult out_of_range{false, "it must lie in [-2^63, 2^63)"};
  if (static_cast<int64_t>(decimal.digits.size()) + decimal.exponent > 19) return out_of_range;
  const std::string digits =
      (decimal.negative ? "-" : "") + decimal.digits + std::string(static_cast<size_t>(decimal.exponent), '0');
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *number);
  return error == std::errc{} ? NumberResult{} : out_of_range;
}

NumberResult read_number(std::string_view text, double* number) {
  if (const auto special = read_infinity_or_nan(text)) {
    *number = *special;
    return {};
  }
  Decimal decimal;
  if (const auto result = read_decimal(text, &decimal); !result.ok) return result;
  const std::string digits = (decimal.negative ? "-" : "") + (decimal.digits.empty() ? "0" : decimal.digits) + "e" +
                             std::to_string(decimal.digits.empty() ? 0 : decimal.exponent);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *number);
  if (error != std::errc{}) return {false, "a double cannot hold it"};
  return {};
}

}  // namespace perceive::core
