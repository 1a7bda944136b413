// Memory of a call, carved out of one buffer of the caller's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace gatewise {

inline constexpr int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// Parts are 64-byte aligned. Past the end of the buffer parts are null, and `used` is the required size. Under
// AddressSanitizer the gaps after the parts are poisoned until the carver goes; never a part, which others may be
// reading: weights that are held serve several calls at once.
class Carver {
public:
  Carver(void *data, int64_t bytes) : base(static_cast<std::byte *>(data)), size(data ? bytes : 0) {
    const int64_t before = -int64_t(reinterpret_cast<uintptr_t>(data)) & 63;
    if (size < before) base = nullptr, size = 0;
    else if (base) base += before, size -= before;
  }
  Carver(const Carver &) = delete;
  Carver &operator=(const Carver &) = delete;
#if defined(__SANITIZE_ADDRESS__)
  ~Carver() {
    if (base) __asan_unpoison_memory_region(base, size_t(size));
  }
#endif

  template <class T> T *take(int64_t count) {
    const int64_t bytes = count * int64_t(sizeof(T));
    std::byte *const part = used + bytes <= size ? base + used : nullptr;
#if defined(__SANITIZE_ADDRESS__)
    const int64_t end = used + bytes;
    used = round_up(end + 64, 64);
    if (part) __asan_poison_memory_region(base + end, size_t(std::min(used, size) - end));
#else
    used = round_up(used + bytes, 64);
#endif
    most = std::max(most, used);
    return reinterpret_cast<T *>(part);
  }
  // Carve again from here: what follows a mark is used for one thing after the other.
  int64_t mark() const { return used; }
  void rewind(int64_t to) {
    used = to;
#if defined(__SANITIZE_ADDRESS__)
    if (base && to < size) __asan_unpoison_memory_region(base + to, size_t(size - to));
#endif
  }
  // Ask for as much as a carver without memory has handed out.
  void reserve(const Carver &planned) { most = std::max(most, planned.most); }
  // For memory that outlives the carver: its gaps stay poisoned.
  void release() { base = nullptr, size = 0; }
  bool fits() const { return most <= size; }
  int64_t needed() const { return most + 64; }

private:
  std::byte *base;
  int64_t size, used = 0, most = 0;
};

} // namespace gatewise
