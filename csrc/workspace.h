// Memory of a call, carved out of one buffer of the caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace gatewise {

inline constexpr int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// Parts are 64-byte aligned. Past the end of the buffer parts are null, and `used` tells how large it must be. Under
// AddressSanitizer the gaps between the parts are poisoned until the carver goes.
class Carver {
public:
  Carver(void *data, int64_t size) : base(static_cast<std::byte *>(data)), size(data ? size : 0) {
    const int64_t misaligned = int64_t(reinterpret_cast<uintptr_t>(base) % 64);
    used = misaligned ? 64 - misaligned : 0;
#if defined(__SANITIZE_ADDRESS__)
    if (base) __asan_poison_memory_region(base, size_t(this->size));
#endif
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
    if (part) __asan_unpoison_memory_region(part, size_t(bytes));
    used = round_up(used + bytes + 64, 64);
#else
    used = round_up(used + bytes, 64);
#endif
    return reinterpret_cast<T *>(part);
  }
  bool fits() const { return used <= size; }
  int64_t needed() const { return used + 64; }

private:
  std::byte *base;
  int64_t size, used;
};

} // namespace gatewise
