// TFRecord frames and the wire format of protocol buffers.
#include "perceive/train/event_record.h"

#include <array>
#include <bit>

namespace perceive::train {
namespace {

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0x82f63b78u : 0u);
    table[i] = value;
  }
  return table;
}
constexpr auto kTable = make_table();

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

enum WireType { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

uint64_t key(int field, WireType type) {
  return static_cast<uint64_t>(field) << 3 | type;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

std::string event_record(std::string_view message) {
  const std::string length = little_endian<uint64_t>(message.size());
  return length + little_endian(masked_crc32c(length)) + std::string(message) + little_endian(masked_crc32c(message));
}

void Message::varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
  bytes_ += static_cast<char>(value);
}

Message& Message::integer(int field, int64_t value) {
  varint(key(field, kVarint));
  varint(static_cast<uint64_t>(value));
  return *this;
}

Message& Message::number(int field, double value) {
  varint(key(field, kFixed64));
  bytes_ += little_endian(std::bit_cast<uint64_t>(value));
  return *this;
}

Message& Message::number(int field, float value) {
  varint(key(field, kFixed32));
  bytes_ += little_endian(std::bit_cast<uint32_t>(value));
  return *this;
}

Message& Message::bytes(int field, std::string_view value) {
  varint(key(field, kLengthDelimited));
  varint(value.size());
  bytes_ += value;
  return *this;
}

}  // namespace perceive::train
