// The engine, built once for each instruction set.
#include "engine.h"
#include "pack.h"

#include <memory>
#include <new>

namespace gatewise {
namespace {

struct Free {
  void operator()(std::byte *p) const { ::operator delete(p, std::align_val_t(64)); }
};
using Memory = std::unique_ptr<std::byte, Free>;
Memory allocate(int64_t bytes) {
  return Memory(static_cast<std::byte *>(::operator new(bytes, std::align_val_t(64), std::nothrow)));
}

// Scratch memory of the thread that calls, kept for its next call: pages fresh from the system cost as much as a
// product of theirs. What is larger than most_kept is given back at once.
class Scratch {
public:
  std::byte *of(int64_t bytes) {
    if (bytes > size) {
      memory.reset();
      memory = allocate(bytes);
      size = memory ? bytes : 0;
    }
    return memory.get();
  }
  void done() {
    if (size <= most_kept) return;
    memory.reset();
    size = 0;
  }

private:
  static constexpr int64_t most_kept = int64_t(64) << 20;
  Memory memory;
  int64_t size = 0;
};
thread_local Scratch kept;

struct Nothing {};

template <class Around = FlushDenormals, class Region> void spread(Region &region, int64_t slices, ParallelFor pool) {
  const auto body = [](int64_t begin, int64_t end, void *context) {
    [[maybe_unused]] const Around around;
    static_cast<Region *>(context)->run(begin, end);
  };
  if (pool && slices > 1) pool(0, slices, 1, body, &region);
  else body(0, slices, &region);
}

// The directions of a layer side by side, each on `slices` threads.
template <class T> struct Loops {
  const Job<T> *jobs;
  int64_t job_count, slices, scratch_bytes;
  Barrier *barriers;
  std::byte *scratch;

  void run(int64_t begin, int64_t end) {
    for (int64_t j = 0; j < job_count; ++j) {
      const int64_t from = std::max(begin, j * slices), to = std::min(end, (j + 1) * slices);
      if (from < to)
        Share<T>(jobs[j], from - j * slices, to - j * slices, slices, barriers[j], scratch + from * scratch_bytes)
            .run();
    }
  }
};

template <class T> int run(const Job<T> *jobs, int64_t job_count, int64_t slices, ParallelFor pool) {
  int64_t bytes = 0;
  for (int64_t j = 0; j < job_count; ++j) bytes = std::max(bytes, Share<T>::scratch_bytes(jobs[j], slices));
  const int64_t of_barriers = int64_t(sizeof(Barrier)) * job_count;
  std::byte *const scratch = kept.of(of_barriers + bytes * slices * job_count);
  if (!scratch) return 1;
  auto *const barriers = reinterpret_cast<Barrier *>(scratch);
  for (int64_t j = 0; j < job_count; ++j) new (barriers + j) Barrier(slices);
  Loops<T> loops{jobs, job_count, slices, bytes, barriers, scratch + of_barriers};
  spread(loops, job_count * slices, pool);
  kept.done();
  return 0;
}

template <class T> struct Product2 {
  const Gemm<T> &g;
  int64_t slices;
  std::byte *scratch;
  void run(int64_t begin, int64_t end) {
    gemm(g, part_of(g, begin, end, slices), reinterpret_cast<T *>(scratch + begin * gemm_scratch_bytes(g)));
  }
};

template <class T> int multiply(const Gemm<T> &g, int64_t slices, ParallelFor pool) {
  std::byte *const scratch = kept.of(gemm_scratch_bytes(g) * slices);
  if (!scratch) return 1;
  Product2<T> product{g, slices, scratch};
  spread(product, slices, pool);
  kept.done();
  return 0;
}

template <class T> void pack(Packing<T> packing, ParallelFor pool) { spread(packing, packing.slices, pool); }

template <class T> void make_sums(const Sum<T> *sums, int64_t count) {
  for (const Sum<T> *s = sums; s < sums + count; ++s) s->make();
}

// Denormal numbers count: the norms of what vanishes are asked for.
template <class T> void measure(const Change<T> *changes, int64_t count, int64_t slices, ParallelFor pool) {
  Changes<T> all{changes, count, slices};
  spread<Nothing>(all, slices, pool);
}

bool sort(const Sorting &sorting) {
  const int64_t places = sorting.ordering.make();
  if (places < 0) return false;
  if (sorting.padding.to) {
    RowCopy padding = sorting.padding;
    padding.to_index = sorting.ordering.index + places;
    padding.count = sorting.ordering.steps * sorting.ordering.rows - places;
    padding.run(0, padding.count);
  }
  return true;
}

// 0; or 1 without memory, 2 when a length is out of range.
template <class T> int play(const Tape &tape) {
  for (const Place *p = tape.places; p < tape.places + tape.place_count; ++p)
    *p->word = tape.given[p->which] + p->offset;
  for (const Operation *o = tape.operations; o < tape.operations + tape.operation_count; ++o) {
    switch (o->kind) {
    case run_jobs: {
      const auto &r = *static_cast<const Runs<T> *>(o->what);
      if (run(r.jobs, r.count, r.slices, tape.pool)) return 1;
      break;
    }
    case multiply_matrices: {
      const auto &m = *static_cast<const Multiplication<T> *>(o->what);
      if (multiply(m.product, m.slices, tape.pool)) return 1;
      break;
    }
    case pack_weights: {
      pack(*static_cast<const Packing<T> *>(o->what), tape.pool);
      break;
    }
    case add_up: {
      const auto &s = *static_cast<const Sums<T> *>(o->what);
      make_sums(s.sums, s.count);
      break;
    }
    case sort_rows: {
      if (!sort(*static_cast<const Sorting *>(o->what))) return 2;
      break;
    }
    }
  }
  return 0;
}

struct RowCopies {
  const RowCopy &rows;
  int64_t slices;
  void run(int64_t begin, int64_t end) { rows.run(rows.count * begin / slices, rows.count * end / slices); }
};

} // namespace
} // namespace gatewise

#define GATEWISE_INTERFACE(T, suffix)                                                                                  \
  GATEWISE_EXPORT int64_t gatewise_lanes_##suffix() { return gatewise::lanes<T>; }                                     \
  GATEWISE_EXPORT int gatewise_run_##suffix(const gatewise::Job<T> *jobs, int64_t count, int64_t slices,               \
                                            gatewise::ParallelFor pool) {                                              \
    return gatewise::run(jobs, count, slices, pool);                                                                   \
  }                                                                                                                    \
  GATEWISE_EXPORT int gatewise_play_##suffix(const gatewise::Tape *tape) { return gatewise::play<T>(*tape); }          \
  GATEWISE_EXPORT int gatewise_multiply_##suffix(const gatewise::Gemm<T> *g, int64_t slices,                           \
                                                 gatewise::ParallelFor pool) {                                         \
    return gatewise::multiply(*g, slices, pool);                                                                       \
  }                                                                                                                    \
  GATEWISE_EXPORT void gatewise_pack_##suffix(const gatewise::Packing<T> *packing, gatewise::ParallelFor pool) {       \
    gatewise::pack(*packing, pool);                                                                                    \
  }                                                                                                                    \
  GATEWISE_EXPORT void gatewise_add_up_##suffix(const gatewise::Sum<T> *sums, int64_t count) {                         \
    gatewise::make_sums(sums, count);                                                                                  \
  }                                                                                                                    \
  GATEWISE_EXPORT void gatewise_measure_##suffix(const gatewise::Change<T> *changes, int64_t count, int64_t slices,    \
                                                 gatewise::ParallelFor pool) {                                         \
    gatewise::measure(changes, count, slices, pool);                                                                   \
  }

GATEWISE_INTERFACE(float, f32)
GATEWISE_INTERFACE(double, f64)

GATEWISE_EXPORT int64_t gatewise_order(const gatewise::Ordering *ordering) { return ordering->make(); }

GATEWISE_EXPORT void gatewise_copy_rows(const gatewise::RowCopy *rows, int64_t slices, gatewise::ParallelFor pool) {
  gatewise::RowCopies copies{*rows, slices};
  gatewise::spread(copies, slices, pool);
}

GATEWISE_EXPORT int64_t gatewise_abi() { return 7; }

GATEWISE_EXPORT int64_t gatewise_vector_bytes() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    return 64;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 32;
#endif
  return 16;
}
