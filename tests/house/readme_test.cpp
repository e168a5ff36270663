// What the README shows is what is built and run.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace {

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Readme, ShowsTheConsumerExampleAsItIs) {
  const std::string example = read(PERCEIVE_ROOT "/examples/consumer/main.cpp");
  ASSERT_FALSE(example.empty());
  EXPECT_NE(read(PERCEIVE_ROOT "/README.md").find("```cpp\n" + example + "```"), std::string::npos)
      << "README.md and examples/consumer/main.cpp differ";
}

}  // namespace
