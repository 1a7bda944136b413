// The file of weights: checked whole, against what this code was exported with, before anything in it is used.
//
// Little-endian: "gatewise", version and bytes of a number (32 bits each), bytes of the file and layout (64), CRC-32 of
// all that follows it and the number of tensors (32); of each tensor offset, rows, columns, bytes of an element (64);
// the tensors, each at a multiple of 64.
#pragma once

#include "runtime/description.h"

#include <array>
#include <cstring>

namespace gatewise {

inline constexpr uint32_t weights_version = 2;
inline constexpr int64_t weights_head = 40, weights_entry = 32;

inline uint32_t crc32(const uint8_t *data, int64_t bytes) {
  // Eight bytes at a time: table[k] advances a byte by k more.
  uint32_t table[8][256];
  for (uint32_t n = 0; n < 256; ++n) {
    uint32_t value = n;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
    table[0][n] = value;
  }
  for (int k = 1; k < 8; ++k)
    for (int n = 0; n < 256; ++n) table[k][n] = table[k - 1][n] >> 8 ^ table[0][table[k - 1][n] & 255];
  uint32_t found = ~0u;
  int64_t at = 0;
  for (; at + 8 <= bytes; at += 8) {
    uint64_t word;
    std::memcpy(&word, data + at, 8);
    word ^= found;
    found = 0;
    for (int k = 0; k < 8; ++k) found ^= table[7 - k][word >> 8 * k & 255];
  }
  for (; at < bytes; ++at) found = found >> 8 ^ table[0][(found ^ data[at]) & 255];
  return ~found;
}

// Returns what is wrong, or null.
inline const char *check_weights_file(const Description &description, const void *file, int64_t bytes,
                                      int64_t number_bytes) {
  const uint8_t *const data = static_cast<const uint8_t *>(file);
  const auto at = [&]<class Number>(int64_t offset, Number) {
    Number value;
    std::memcpy(&value, data + offset, sizeof value);
    return value;
  };
  if (!data) return "weights: expected the contents of weights.bin, got null";
  if (reinterpret_cast<uintptr_t>(data) % 8) return "weights: expected memory aligned to 8 bytes";
  if (bytes < weights_head) return "weights: the file is truncated";
  if (std::memcmp(data, "gatewise", 8)) return "weights: not a file of weights";
  if (at(8, uint32_t()) != weights_version) return "weights: the file has another version; export the model again";
  if (at(12, uint32_t()) != number_bytes) return "weights: the numbers of the file have another type";
  if (at(16, uint64_t()) != uint64_t(bytes)) return "weights: the file is truncated, or followed by something else";
  if (at(24, uint64_t()) != description.layout) return "weights: the file belongs to another model";
  if (at(36, uint32_t()) != description.tensor_count) return "weights: the file has other tensors";
  if (at(32, uint32_t()) != crc32(data + weights_head - 4, bytes - weights_head + 4))
    return "weights: the file is damaged (its checksum differs)";
  if (description.tensor_count > (bytes - weights_head) / weights_entry) return "weights: the file is truncated";
  for (int64_t k = 0; k < description.tensor_count; ++k) {
    const int64_t entry = weights_head + k * weights_entry;
    const uint64_t offset = at(entry, uint64_t()), rows = at(entry + 8, uint64_t()),
                   columns = at(entry + 16, uint64_t()), element = at(entry + 24, uint64_t());
    const TensorInfo &expected = description.tensors[k];
    if (rows != uint64_t(expected.rows) || columns != uint64_t(expected.columns))
      return "weights: a tensor has another shape";
    if (element != uint64_t(expected.bytes)) return "weights: a tensor has another type";
    const uint64_t size = rows * columns * element;
    if (offset % 64 || offset > uint64_t(bytes) || size > uint64_t(bytes) - offset)
      return "weights: a tensor is outside the file";
  }
  return nullptr;
}

// Where a tensor of a file that has been checked begins.
inline const void *tensor_of(const void *file, int64_t number) {
  const char *const data = static_cast<const char *>(file);
  uint64_t offset;
  std::memcpy(&offset, data + weights_head + number * weights_entry, sizeof offset);
  return data + offset;
}

} // namespace gatewise
