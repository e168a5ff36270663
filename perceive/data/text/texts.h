// Many texts, by their numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "perceive/data/text/word_counts.h"

namespace perceive::data {

class Texts {
 public:
  virtual ~Texts() = default;
  virtual int64_t size() const = 0;
  // May be called from several threads. Throws core::DataError that names the file.
  virtual std::string text(int64_t index) const = 0;
  // What to call it: a file, or a line of one.
  virtual std::string name(int64_t index) const = 0;
};

// Each file is a text, read when it is asked for.
class TextFiles : public Texts {
 public:
  explicit TextFiles(std::vector<std::string> files) : files_(std::move(files)) {}
  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  std::string text(int64_t index) const override;
  std::string name(int64_t index) const override { return files_.at(static_cast<size_t>(index)); }

 private:
  std::vector<std::string> files_;
};

// Each line that is not blank is a text; lines end with LF or CR LF. The files are held in memory.
class TextLines : public Texts {
 public:
  explicit TextLines(const std::vector<std::string>& files);
  // The lines of `content`, which is called `name`.
  TextLines(std::string name, std::string content);
  int64_t size() const override { return static_cast<int64_t>(lines_.size()); }
  std::string text(int64_t index) const override;
  std::string name(int64_t index) const override;  // "file:12"

 private:
  struct Line {
    size_t file, begin, length;
    int64_t number;  // in its file, from 1
  };
  void add(std::string name, std::string content);

  std::vector<std::string> names_, contents_;
  std::vector<Line> lines_;
};

struct NamedText {
  std::string name, text;
};
class TextsInMemory : public Texts {
 public:
  explicit TextsInMemory(std::vector<NamedText> texts) : texts_(std::move(texts)) {}
  int64_t size() const override { return static_cast<int64_t>(texts_.size()); }
  std::string text(int64_t index) const override { return texts_.at(static_cast<size_t>(index)).text; }
  std::string name(int64_t index) const override { return texts_.at(static_cast<size_t>(index)).name; }

 private:
  std::vector<NamedText> texts_;
};

// One after the other. `texts` must outlive what is returned.
NextText each_of(const Texts& texts);

}  // namespace perceive::data
