#include "perceive/core/text.h"

#include <gtest/gtest.h>

namespace perceive::core {
namespace {

TEST(Text, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("heads", "haeds"), 1u);
  EXPECT_EQ(edit_distance("max_steps", "max_step"), 1u);
}

TEST(Text, FindsTheNearestName) {
  const std::vector<std::string> names{"lr", "max_steps", "max_epochs", "batch_size", "AdamW"};
  EXPECT_EQ(nearest("max_step", names), "max_steps");
  EXPECT_EQ(nearest("adamw", names), "AdamW");
  EXPECT_EQ(nearest("batch", names), "batch_size");
  EXPECT_EQ(nearest("lrr", names), "lr");
  EXPECT_EQ(nearest("x", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest("unrelated", names), "");
  EXPECT_EQ(nearest(std::string(1'000'000, 'a'), names), "");
  EXPECT_EQ(nearest("lr", {}), "");
}

TEST(Text, QuotesForMessages) {
  EXPECT_EQ(in_quotes("a b"), "'a b'");
  EXPECT_EQ(in_quotes("é\n\x01\xFF"), "'é\\x0a\\x01\\xff'");
  EXPECT_EQ(in_quotes(std::string(1'000, 'x')), "'" + std::string(59, 'x') + "…'");
}

TEST(Shortened, StaysOnALineAndCutsBetweenCharacters) {
  EXPECT_EQ(shortened("a\nb\x7f", 9), "a b ");
  EXPECT_EQ(shortened("äöü", 3), "äöü");
  EXPECT_EQ(shortened("äöü", 2), "äö…");
  EXPECT_EQ(shortened("", 0), "");
}

TEST(Text, JoinsWords) {
  EXPECT_EQ(join({}), "");
  EXPECT_EQ(join({"a", "a"}), "a, a");
  EXPECT_EQ(join({"a", "", "c"}, "|"), "a||c");
}

TEST(Text, WritesTheShortestNumber) {
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(shortest(50), "50");
  EXPECT_EQ(shortest(1e-5), "1e-05");
  EXPECT_EQ(shortest(-0.0), "-0");
  EXPECT_EQ(shortest(1.7976931348623157e308), "1.7976931348623157e+308");
}

}  // namespace
}  // namespace perceive::core
