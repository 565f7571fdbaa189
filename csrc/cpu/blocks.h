// Pixels are worked on in blocks: as many at a time as fit a buffer on the stack.
#pragma once

#include <algorithm>
#include <new>

#include "../core/image.h"
#include "instruction_sets.h"

namespace pyaug::inline PYAUG_ISA {

constexpr int kBlock = 512;

// Memory that a thread keeps from image to image. (Not a std::vector, whose functions would have
// the same names in every instruction set.)
class Room {
 public:
  Room() = default;
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() { ::operator delete[](room_, kAligned); }

  // `count` of them, of any values.
  template <class A>
  A* of(int64_t count) {
    const size_t needed = static_cast<size_t>(count) * sizeof(A);
    if (needed > size_) {
      ::operator delete[](room_, kAligned);
      size_ = 0;
      room_ = nullptr;
      room_ = ::operator new[](needed, kAligned);
      size_ = needed;
    }
    return static_cast<A*>(room_);
  }

 private:
  static constexpr std::align_val_t kAligned{64};
  void* room_ = nullptr;
  size_t size_ = 0;
};

// Fetches the 64 bytes that a walk over rows comes to a little later, there and here.
PYAUG_LANE void fetch_ahead(const uint8_t* from, const uint8_t* to, int ahead = kAhead) {
  __builtin_prefetch(from + ahead);
  __builtin_prefetch(to + kAhead, 1);
}

// Consecutive pixels of one plane: the first one's place in it, and how many.
struct Run {
  int c;
  int64_t first;
  int count;
};

// The x of [first, last).
struct Interval {
  int first, last;

  bool empty() const { return first >= last; }
  int count() const { return last - first; }

  // Keeps those with 0 <= start + slope x < end, in whole numbers.
  void clip(int64_t start, int64_t slope, int64_t end) {
    if (slope == 0) {
      if (start < 0 || start >= end) last = first;
      return;
    }
    if (slope < 0) {
      start = end - 1 - start;
      slope = -slope;
    }
    const bool steps = slope == 1;  // a division takes longer than the rest
    const int64_t low = steps ? -start : up(-start, slope);
    const int64_t high = steps ? end - start : up(end - start, slope);
    if (low > first) first = static_cast<int>(std::min<int64_t>(low, last));
    if (high < last) last = static_cast<int>(std::max<int64_t>(high, first));
  }

 private:
  // n / d rounded up, for d > 0.
  static int64_t up(int64_t n, int64_t d) { return n > 0 ? (n + d - 1) / d : -(-n / d); }
};

// The blocks of a plane, without regard to its rows.
template <class T, class Use>
PYAUG_LANE void each_block(const Image<T>& image, const Use& use) {
  const int64_t area = image.area();
  for (int64_t first = 0; first < area; first += kBlock)
    use(first, static_cast<int>(std::min<int64_t>(kBlock, area - first)));
}

// The blocks of a row.
template <int most = kBlock, class Use>
PYAUG_LANE void each_row_block(int width, const Use& use) {
  for (int first = 0; first < width; first += most) use(first, std::min(width, first + most));
}

}  // namespace pyaug::inline PYAUG_ISA
