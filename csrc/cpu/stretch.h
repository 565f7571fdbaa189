// Rows of bytes at the columns of an output row, and output rows between two of them: the bilinear
// rule where columns and rows do not depend on each other.
#pragma once

#include <bit>

#include "lanes.h"

namespace pyaug::inline PYAUG_ISA {

// Values v from 0 to 255 as floats 2^23 + 32,768 v + 4, rounded to whole numbers: the lower bits
// are that number itself, so that nothing is converted.
constexpr int32_t kRaised = 0x4b000000 + 4;

// Part q has byte q of each four.
inline Quarters<Floats> raised(Bytes bytes) {
  const Ints fours = (Ints)bytes;
  const auto part = [](Ints at_15) { return (Floats)((at_15 & 255 << 15) | kRaised); };
  return {{part(fours << 15), part(fours << 7), part(fours >> 1), part(fours >> 9)}};
}
// The whole numbers below them.
inline Bytes lowered(const Quarters<Ints>& value) {
  const auto either = [](int mask, Ints a, Ints b) { return (a & mask) | (b & ~mask); };
  const Ints low = either(255, value.part[0] >> 15, value.part[1] >> 7);
  const Ints high = either(255 << 16, value.part[2] << 1, value.part[3] << 9);
  return (Bytes)either(0xffff, low, high);
}

// row[at[i]] for the same `at` in many rows. Where those of kPicked neighbours lie within as many
// bytes, as in enlargements, one instruction picks them.
class Picker {
 public:
  Picker(const int32_t* at, int count, [[maybe_unused]] int width) : at_(at), count_(count) {
#ifdef __AVX2__
    width_ = width;
    picks_ = kPicked == 64 || width >= kPicked;
    std::fill(offset_, offset_ + kBlock, kNone);
    for (int i = 0; i < count; ++i) {
      int& start = start_[i / kPicked];
      if (i % kPicked == 0) start = std::min(at[i], std::max(width - kPicked, 0));
      const int offset = at[i] - start;
      picks_ &= offset >= 0 && offset < kPicked;
      offset_[i] = static_cast<uint8_t>(offset);
    }
#endif
  }

  // Brings them to `to` one by one, if they are not picked.
  void walk(const uint8_t* row, uint8_t* to) const {
    if (picks_) return;
    constexpr int size = sizeof(Bytes);
    store_bytes(Bytes{}, to + (count_ - 1) / size * size, size);
    for (int i = 0; i < count_; ++i) to[i] = row[at_[i]];
  }
  // A register of them from the i-th on, zeros after the last one: from there, or picked and
  // brought there as well.
  PYAUG_LANE Bytes operator()([[maybe_unused]] const uint8_t* row, int i, uint8_t* to) const {
    if (!picks_) return load_bytes(to + i, sizeof(Bytes));
    Bytes picked{};
#if defined(__AVX512VBMI__)
    const uint8_t* const from = row + start_[i / kPicked];
    __builtin_prefetch(from + kAhead);
    const __m512i bytes = _mm512_maskz_loadu_epi8(first(row + width_ - from), from);
    const __m512i offsets = _mm512_load_si512(offset_ + i);
    picked = (Bytes)_mm512_maskz_permutexvar_epi8(first(count_ - i), offsets, bytes);
#elif defined(__AVX2__)
    const auto near = [=, this](int k) {
      const uint8_t* const from = row + start_[i / kPicked + k];
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    };
    const __m256i offsets = (__m256i)load_bytes(offset_ + i, sizeof(Bytes));
    picked = (Bytes)_mm256_shuffle_epi8(_mm256_set_m128i(near(1), near(0)), offsets);
#endif
    store_bytes(picked, to + i, sizeof(Bytes));
    return picked;
  }

 private:
  const int32_t* at_;
  int count_;
  bool picks_ = false;
#ifdef __AVX2__
  static constexpr int kPicked = sizeof(Bytes) == 64 ? 64 : 16;
  static constexpr uint8_t kNone = 128;  // AVX2's shuffle makes a zero of it

  int width_;
  int start_[kBlock / kPicked] = {};  // where the bytes begin of which they are picked
  alignas(64) uint8_t offset_[kBlock];
#endif
};

// A row of the image at the columns of an output row.
struct StretchedRow {
  alignas(64) uint8_t left[kBlock], right[kBlock];  // the neighbours of each
  alignas(64) uint8_t level[kBlock];                // 255 where these are one number, else 0
  alignas(64) float value[kBlock];                  // between them: raised, part by part
};

// Pillow computes in double and truncates. So does this, but only where float32 does not tell which
// whole number lies below.
class Stretch {
 public:
  // Column i lies between columns left[i] and right[i] of the image, dx[i] of the way.
  Stretch(const int32_t* left, const int32_t* right, const double* dx, int count, int width)
      : dx_(dx), count_(count), lefts_(left, count, width), rights_(right, count, width) {
    for (int i = 0; i < count; i += kBytes)
      for (int k = 0; k < kBytes; ++k)
        way_[i + k % 4 * kFloats + k / 4] = i + k < count ? static_cast<float>(dx[i + k]) : 0;
  }

  __attribute__((noinline)) void find(const uint8_t* in, StretchedRow& row) const {
    lefts_.walk(in, row.left);
    rights_.walk(in, row.right);
    for (int i = 0, count = count_; i < count; i += kBytes) {
      const Bytes lefts = lefts_(in, i, row.left), rights = rights_(in, i, row.right);
      store_bytes((Bytes)(lefts == rights), row.level + i, kBytes);
      const Quarters<Floats> left = raised(lefts), right = raised(rights);
      for (int q = 0; q < 4; ++q)
        put(row.value + i + q * kFloats, product_sum(right.part[q] - left.part[q],
                                                     floats(way_ + i + q * kFloats), left.part[q]));
    }
  }

  __attribute__((noinline)) void between(const StretchedRow& top, const StretchedRow& bottom,
                                         double dy, uint8_t* to) const {
    const Floats way = Floats{} + static_cast<float>(dy);
    for (int i = 0, count = count_; i < count; i += kBytes) {
      Quarters<Ints> value;
      for (int q = 0; q < 4; ++q) {
        const Floats from = floats(top.value + i + q * kFloats);
        const Floats apart = floats(bottom.value + i + q * kFloats) - from;
        value.part[q] = (Ints)product_sum(apart, way, from);
      }
      Bytes bytes = lowered(value);
      const Bytes same = corners_agree(top, bottom, i);
      const Shorts even = fractions(value.part[0], value.part[2]) | ((Shorts)same & 255);
      const Shorts odd = fractions(value.part[1], value.part[3]) | ((Shorts)same & ~255);
      if (any_zero(even, odd))
        mend(top, bottom, dy, i, flags((Bytes)(((even == 0) & 255) | ((odd == 0) & ~255))), bytes);
      store_bytes(bytes, to + i, count - i);
    }
  }

 private:
  static constexpr int kBytes = sizeof(Bytes), kFloats = kBytes / 4;

  static Floats floats(const float* from) {
    Floats values;
    std::memcpy(&values, from, sizeof values);
    return values;
  }
  static void put(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }

  // Of two parts the bits that are all 0 within 4 of a whole number, in 32,768ths, and there alone.
  // All roundings together come to less than 2: of a row 1/4 by its way, 1/4 by the product, 1/2 by
  // the sum, and as much between two.
  static Shorts fractions(Ints a, Ints b) {
    return (Shorts)((a & 0xffff) | (b << 16)) & int16_t{0x7ff8};
  }
  // 255 where all four neighbours are one number, which float32 keeps.
  static Bytes corners_agree(const StretchedRow& top, const StretchedRow& bottom, int i) {
    const Bytes corner = load_bytes(top.left + i, kBytes);
    return (Bytes)(corner == load_bytes(bottom.left + i, kBytes)) &
           load_bytes(top.level + i, kBytes) & load_bytes(bottom.level + i, kBytes);
  }
  PYAUG_LANE void mend(const StretchedRow& top, const StretchedRow& bottom, double dy, int first,
                       uint64_t doubtful, Bytes& bytes) const {
    for (; doubtful; doubtful &= doubtful - 1) {
      const int k = std::countr_zero(doubtful), i = first + k;
      const auto at = [&](const StretchedRow& row) {
        return ::pyaug::between<double>(row.left[i], row.right[i], dx_[i]);
      };
      bytes[k] = static_cast<uint8_t>(static_cast<int>(::pyaug::between(at(top), at(bottom), dy)));
    }
  }

  const double* dx_;
  int count_;
  Picker lefts_, rights_;
  alignas(64) float way_[kBlock];
};

}  // namespace pyaug::inline PYAUG_ISA
