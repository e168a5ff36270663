// The system calls that change the disk. Tests fail, or die, at any one of them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace perceive::io::system_calls {

using Path = std::filesystem::path;

// Called before each call with its name; returns 0, or the errno the call is to fail with instead.
using Hook = int (*)(const char* call);
void set_hook(Hook hook);  // null: none

// Each throws core::FileError; `fd` belongs to `path`.
int create(const Path& path);
size_t write(int fd, std::string_view bytes, const Path& path);  // how many were written
void sync(int fd, const Path& path);
void sync_folder(const Path& folder);
void close(int fd, const Path& path);
void rename(const Path& from, const Path& to);
bool exchange(const Path& a, const Path& b);  // false where the file system cannot
void make_folder(const Path& folder);
void remove_tree(const Path& path);  // nothing there: nothing to do

[[noreturn]] void fail(int error, const std::string& doing, const Path& path);

}  // namespace perceive::io::system_calls
