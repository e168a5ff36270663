// TensorBoard's records: TFRecord frames around `Event` messages (tensorflow/core/util/event.proto).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace perceive::train {

// CRC-32C (Castagnoli, RFC 3720 B.4), and as TFRecord stores it.
uint32_t crc32c(std::string_view bytes);
uint32_t masked_crc32c(std::string_view bytes);

// Length, its checksum, the message, its checksum.
std::string event_record(std::string_view message);

// The wire format of protocol buffers: fields of one message, appended in any order.
class Message {
 public:
  Message& integer(int field, int64_t value);
  Message& number(int field, double value);
  Message& number(int field, float value);
  Message& bytes(int field, std::string_view value);  // a string, or a message in the message
  const std::string& str() const { return bytes_; }

 private:
  void varint(uint64_t value);
  std::string bytes_;
};

}  // namespace perceive::train
