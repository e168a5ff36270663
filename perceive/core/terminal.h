// Writing to a terminal, or to what stands in for one, from several places at once.
#pragma once

#include <string>
#include <string_view>

namespace perceive::core {

bool is_terminal(int fd);  // one that can move its cursor: not with TERM=dumb or without TERM
bool has_colour(int fd);   // a terminal, and NO_COLOR is not set
int columns(int fd);       // 80 where nobody knows

// Writes all of it. False where the reader is gone; no SIGPIPE is raised.
bool write_all(int fd, std::string_view text);
// Writes a whole line (`text` without its end) above the status line, where that terminal shows one.
bool write_line(int fd, std::string_view text);
// Replaces the last line of a terminal; "" takes it away. There is one status line in a process.
bool write_status(int fd, std::string_view text);

}  // namespace perceive::core
