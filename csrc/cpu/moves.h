// Bytes moved within planes: whole rows, whole columns, small planes, pixels of three channels.
// Compilers find none of these loops by themselves.
#pragma once

#include <cstring>

#include "look_up.h"

namespace pyaug::inline PYAUG_ISA {

inline void fill_row(uint8_t value, int64_t n, uint8_t* to) {
#ifdef __AVX512VBMI__
  for (int64_t i = 0; i < n; i += 64)
    _mm512_mask_storeu_epi8(to + i, first(n - i), _mm512_set1_epi8(static_cast<char>(value)));
#else
  std::fill(to, to + n, value);
#endif
}

// Where a row's bytes come from: from[i] for the i of `inside`, the rest is filled.
struct RowSource {
  const uint8_t* from;
  Interval inside;
};

constexpr int kRow = 256;  // bytes of a row that are moved at a time, whose numbers are bytes, too

#ifdef __AVX512VBMI__
template <int vectors, class Source>
void move_vectors(int n, int rows, uint8_t fill, const Source source, int ahead, uint8_t* to,
                  int64_t pitch) {
  const __m512i filling = _mm512_set1_epi8(static_cast<char>(fill));
  uint8_t numbers[kRow];
  for (int i = 0; i < kRow; ++i) numbers[i] = static_cast<uint8_t>(i);
  const __mmask64 last = first(n - 64 * (vectors - 1));
  for (int y = 0; y < rows; ++y, to += pitch) {
    const auto [from, inside] = source(y);
    const __m512i begin = _mm512_set1_epi8(static_cast<char>(inside.first));
    const __m512i reach = _mm512_set1_epi8(static_cast<char>(inside.count() - 1));
#pragma GCC unroll 4
    for (int k = 0; k < vectors; ++k) {
      const int i = 64 * k;
      fetch_ahead(from + i, to + i, ahead);
      const __m512i number = _mm512_sub_epi8(_mm512_loadu_si512(numbers + i), begin);
      const __mmask64 copied = inside.empty() ? 0 : _mm512_cmple_epu8_mask(number, reach);
      const __m512i bytes = copied == ~__mmask64{0}
                                ? _mm512_loadu_si512(from + i)
                                : _mm512_mask_loadu_epi8(filling, copied, from + i);
      if (k + 1 < vectors)
        _mm512_storeu_si512(to + i, bytes);
      else
        _mm512_mask_storeu_epi8(to + i, last, bytes);
    }
  }
}
#endif

// Rows of n <= kRow bytes, `pitch` apart, row y from source(y). (For so short a row a call of
// memcpy would take as long as the copy.)
template <class Source>
void move_rows(int n, int rows, uint8_t fill, const Source source, int ahead, uint8_t* to,
               int64_t pitch) {
#ifdef __AVX512VBMI__
  switch ((n + 63) / 64) {
    case 1:
      return move_vectors<1>(n, rows, fill, source, ahead, to, pitch);
    case 2:
      return move_vectors<2>(n, rows, fill, source, ahead, to, pitch);
    case 3:
      return move_vectors<3>(n, rows, fill, source, ahead, to, pitch);
    default:
      return move_vectors<4>(n, rows, fill, source, ahead, to, pitch);
  }
#else
  static_cast<void>(ahead);
  for (int y = 0; y < rows; ++y, to += pitch) {
    const auto [from, inside] = source(y);
    std::fill(to, to + inside.first, fill);
    std::memcpy(to + inside.first, from + inside.first, static_cast<size_t>(inside.count()));
    std::fill(to + inside.last, to + n, fill);
  }
#endif
}

// to[i] = from[-i].
inline void reverse_row(const uint8_t* from, int n, uint8_t* to) {
#ifdef __AVX512VBMI__
  uint8_t backwards[64];
  for (int k = 0; k < 64; ++k) backwards[k] = static_cast<uint8_t>(63 - k);
  const __m512i order = _mm512_loadu_si512(backwards);
  for (int i = 0; i < n; i += 64) {
    fetch_ahead(from - i, to + i);
    const __mmask64 here = first(n - i), last = ~first(64 - (n - i));
    const __m512i bytes = _mm512_maskz_loadu_epi8(last, from - i - 63);
    _mm512_mask_storeu_epi8(to + i, here, _mm512_maskz_permutexvar_epi8(here, order, bytes));
  }
#else
  for (int i = 0; i < n; ++i) to[i] = from[-i];
#endif
}

// Three planes side by side: pixels of 32 bits whose first three bytes are the channels.
inline void join_pixels(const uint8_t* const from[3], int64_t n, uint32_t* pixels) {
  int64_t i = 0;
#ifdef __AVX512VBMI__
  // Quarters of four pixels, so that what is interleaved within quarters comes out in order.
  const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  for (; i + 64 <= n; i += 64) {
    __m512i plane[3];
    for (int c = 0; c < 3; ++c) {
      __builtin_prefetch(from[c] + i + kAhead);
      plane[c] = _mm512_maskz_permutexvar_epi32(0xffff, order, _mm512_loadu_si512(from[c] + i));
    }
    const __m512i zero = _mm512_setzero_si512();
    const __m512i two[4] = {
        _mm512_unpacklo_epi8(plane[0], plane[1]), _mm512_unpacklo_epi8(plane[2], zero),
        _mm512_unpackhi_epi8(plane[0], plane[1]), _mm512_unpackhi_epi8(plane[2], zero)};
    for (int k = 0; k < 4; k += 2) {
      _mm512_storeu_si512(pixels + i + 16 * k, _mm512_unpacklo_epi16(two[k], two[k + 1]));
      _mm512_storeu_si512(pixels + i + 16 * k + 16, _mm512_unpackhi_epi16(two[k], two[k + 1]));
    }
  }
#endif
  for (; i < n; ++i)
    pixels[i] = static_cast<uint32_t>(from[0][i] | from[1][i] << 8 | from[2][i] << 16);
}

// Their channels apart again.
inline void split_pixels(const uint32_t* pixels, int n, uint8_t* const to[3]) {
  int i = 0;
#ifdef __AVX512VBMI__
  uint8_t fourth[64];
  for (int k = 0; k < 64; ++k) fourth[k] = static_cast<uint8_t>(4 * k);  // twice 0 to 124
  const __m512i firsts = _mm512_loadu_si512(fourth);
  for (; i < n; i += 64) {
    __m512i part[4];
    for (int k = 0; k < 4; ++k)
      part[k] = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(first(n - i - 16 * k)),
                                         pixels + i + 16 * k);
    for (int c = 0; c < 3; ++c) {
      const __m512i places = _mm512_add_epi8(firsts, _mm512_set1_epi8(static_cast<char>(c)));
      const __m512i low = _mm512_permutex2var_epi8(part[0], places, part[1]);
      const __m512i high = _mm512_permutex2var_epi8(part[2], places, part[3]);
      _mm512_mask_storeu_epi8(to[c] + i, first(n - i),
                              _mm512_mask_blend_epi8(~__mmask64{0} << 32, low, high));
    }
  }
#endif
  for (int c = 0; c < 3; ++c) {
    uint8_t* const plane = to[c];
    for (int k = i; k < n; ++k) plane[k] = static_cast<uint8_t>(pixels[k] >> (8 * c));
  }
}

// Where the pixels of a small plane come from: 16 bits for each, of which 10 are an index.
constexpr int kSmallPlane = 1024;
constexpr uint16_t kOutside = 0x8000;

#ifdef __AVX512VBMI__
constexpr bool permutes_small_planes = true;

// out[i] = in[source[i]], or `fill` where that is kOutside; n <= kSmallPlane pixels in and out.
class SmallPermutation {
 public:
  SmallPermutation(const uint16_t* source, int n) : n_(n) {
    uint8_t even[64], odd[64];
    for (int i = 0; i < 64; ++i) {
      even[i] = static_cast<uint8_t>(2 * i);
      odd[i] = static_cast<uint8_t>(2 * i + 1);
    }
    const __m512i evens = _mm512_loadu_si512(even), odds = _mm512_loadu_si512(odd);
    for (int i = 0; i < n; i += 64) {
      const __m512i first = _mm512_loadu_si512(source + i);
      const __m512i second = _mm512_loadu_si512(source + i + 32);
      low_[i / 64] = _mm512_permutex2var_epi8(first, evens, second);
      high_[i / 64] = _mm512_permutex2var_epi8(first, odds, second);
    }
  }

  [[gnu::always_inline]] void operator()(const uint8_t* in, uint8_t fill, uint8_t* out) const {
    __m512i part[16];
    for (int k = 0; k < 16; ++k) {
      part[k] = _mm512_maskz_loadu_epi8(first(n_ - 64 * k), in + 64 * k);
    }
    const __m512i filling = _mm512_set1_epi8(static_cast<char>(fill));
    for (int i = 0; i < n_; i += 64) {
      const __m512i low = low_[i / 64], high = high_[i / 64];
      const __mmask64 bit7 = _mm512_movepi8_mask(low);
      const __mmask64 bit8 = _mm512_test_epi8_mask(high, _mm512_set1_epi8(1));
      const __mmask64 bit9 = _mm512_test_epi8_mask(high, _mm512_set1_epi8(2));
      const auto eighth = [&](int k) {
        return _mm512_permutex2var_epi8(part[2 * k], low, part[2 * k + 1]);
      };
      const auto quarter = [&](int k) {
        return _mm512_mask_blend_epi8(bit7, eighth(2 * k), eighth(2 * k + 1));
      };
      const __m512i half0 = _mm512_mask_blend_epi8(bit8, quarter(0), quarter(1));
      const __m512i half1 = _mm512_mask_blend_epi8(bit8, quarter(2), quarter(3));
      const __m512i pixels = _mm512_mask_blend_epi8(bit9, half0, half1);
      const __m512i result = _mm512_mask_blend_epi8(_mm512_movepi8_mask(high), pixels, filling);
      _mm512_mask_storeu_epi8(out + i, first(n_ - i), result);
    }
  }

 private:
  int n_;
  __m512i low_[kSmallPlane / 64], high_[kSmallPlane / 64];
};
#else
constexpr bool permutes_small_planes = false;
#endif

#ifdef __AVX512VBMI__
constexpr bool moves_columns = true;

// At most 64 columns of a plane, each moved by a number of rows of its own: by the digits of these
// numbers to base four, one after the other, all columns at once.
class ColumnMove {
 public:
  // As many of the columns from `first` on as move by less than kMost different numbers: column x
  // comes from up(x) rows further down.
  template <class Up>
  ColumnMove(int first, int last, const Up& up) {
    int least = up(first), most = least;
    for (; columns_ < std::min(64, last - first); ++columns_) {
      const int here = up(first + columns_);
      least = std::min(least, here);
      most = std::max(most, here);
      if (most - least >= kMost) break;
      least_ = least;
      reach_ = most - least;
    }
    for (int i = 0; i < columns_; ++i) {
      const int by = up(first + i) - least_;
      for (int digit = 0; digit < 3; ++digit)
        if (const int d = by >> (2 * digit) & 3) digits_[digit].is[d - 1] |= __mmask64{1} << i;
    }
  }
  int columns() const { return columns_; }

  void operator()(const uint8_t* in, int64_t width, int height, uint8_t fill, Room& room,
                  uint8_t* out) const {
    const __mmask64 all = first(columns_);
    const __m512i filling = _mm512_set1_epi8(static_cast<char>(fill));
    __m512i* const rows = room.of<__m512i>(kRows + 2 * kMost);
    for (int top = 0; top < height; top += kRows) {
      const int count = std::min(kRows, height - top);
      for (int i = 0; i < count + reach_; ++i) {
        const int y = top + least_ + i;
        const bool within = y >= 0 && y < height;

        rows[i] = within ? _mm512_maskz_loadu_epi8(all, in + y * width) : filling;
      }
      int digit = 0, step = 1;
      for (; step * 4 <= reach_; ++digit, step *= 4) {
        const Digit columns = digits_[digit];
        const int more = reach_ / (4 * step) * (4 * step);  // that later digits ask for
        for (int i = 0; i < count + more; ++i) rows[i] = columns.of(rows + i, step);
      }
      const Digit columns = digits_[digit];
      for (int i = 0; i < count; ++i)
        _mm512_mask_storeu_epi8(out + (top + i) * width, all, columns.of(rows + i, step));
    }
  }

 private:
  // The columns whose digit is 1, 2 and 3: they come from so many steps further down.
  struct Digit {
    __mmask64 is[3];
    __m512i of(const __m512i* rows, int step) const {
      __m512i row = rows[0];
      for (int d = 0; d < 3; ++d) row = _mm512_mask_blend_epi8(is[d], row, rows[(d + 1) * step]);
      return row;
    }
  };

  static constexpr int kMost = 64;   // numbers of rows
  static constexpr int kRows = 256;  // of the result that are made at a time
  int columns_ = 0, least_ = 0, reach_ = 0;
  Digit digits_[3] = {};
};
#else
constexpr bool moves_columns = false;
#endif

// to[i] = pixels[at[i]], by ordinary loads: a gather takes half as long again.
inline void fetch_pixels(const uint32_t* pixels, const int32_t* at, int n, uint32_t* to) {
  using Four = uint32_t __attribute__((vector_size(16)));
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    const Four four{pixels[at[i]], pixels[at[i + 1]], pixels[at[i + 2]], pixels[at[i + 3]]};
    std::memcpy(to + i, &four, sizeof four);
  }
  for (; i < n; ++i) to[i] = pixels[at[i]];
}

}  // namespace pyaug::inline PYAUG_ISA
