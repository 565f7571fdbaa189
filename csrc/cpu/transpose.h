// Rows and columns exchanged: of a plane of bytes, of the parts of registers.
#pragma once

#include <cstring>

#include "look_up.h"

namespace pyaug::inline PYAUG_ISA {

#ifdef __AVX512VBMI__
// Eight registers of eight parts of 64 bits.
[[gnu::always_inline]] inline void transpose_eights(const __m512i from[8], __m512i to[8]) {
  __m512i pair[8];
  for (int j = 0; j < 8; j += 2) {
    pair[j] = _mm512_maskz_unpacklo_epi64(0xff, from[j], from[j + 1]);
    pair[j + 1] = _mm512_maskz_unpackhi_epi64(0xff, from[j], from[j + 1]);
  }
  const auto even = [](__m512i a, __m512i b) {
    return _mm512_maskz_shuffle_i64x2(0xff, a, b, 0x88);
  };
  const auto odd = [](__m512i a, __m512i b) {
    return _mm512_maskz_shuffle_i64x2(0xff, a, b, 0xdd);
  };
  for (int k = 0; k < 2; ++k) {
    const __m512i even0 = even(pair[k], pair[k + 2]), even1 = even(pair[k + 4], pair[k + 6]);
    const __m512i odd0 = odd(pair[k], pair[k + 2]), odd1 = odd(pair[k + 4], pair[k + 6]);
    to[k] = even(even0, even1);
    to[k + 2] = even(odd0, odd1);
    to[k + 4] = odd(even0, even1);
    to[k + 6] = odd(odd0, odd1);
  }
}

// At most 64 rows and columns: 8 by 8 bytes trade their places within a register.
inline void transpose_block(const uint8_t* from, int64_t stride, int rows, int columns, uint8_t* to,
                            int64_t to_stride) {
  uint8_t exchanged[64];
  for (int i = 0; i < 64; ++i) exchanged[i] = static_cast<uint8_t>(8 * (i % 8) + i / 8);
  const __m512i order = _mm512_loadu_si512(exchanged);
  const __mmask64 across = first(columns), down = first(rows);
  __m512i part[8][8];  // [i][j]: columns 8 i to 8 i + 7 of the eight rows from 8 j on
  for (int j = 0; 8 * j < rows; ++j) {
    __m512i row[8], eight[8];
    for (int i = 0; i < 8; ++i)
      row[i] = _mm512_maskz_loadu_epi8(8 * j + i < rows ? across : 0, from + (8 * j + i) * stride);
    transpose_eights(row, eight);
    for (int i = 0; i < 8; ++i)
      part[i][j] = _mm512_maskz_permutexvar_epi8(~__mmask64{0}, order, eight[i]);
  }
  for (int i = 0; 8 * i < columns; ++i) {
    __m512i column[8];
    transpose_eights(part[i], column);
    for (int j = 0; j < 8; ++j)
      _mm512_mask_storeu_epi8(to + (8 * i + j) * to_stride, 8 * i + j < columns ? down : 0,
                              column[j]);
  }
}
#else
constexpr int kTile = 16;
using TileRow = uint8_t __attribute__((vector_size(kTile)));

// Pairs of rows are interleaved, four times: each round doubles the bytes of a column that lie
// side by side.
inline void transpose_tile(const uint8_t* from, int64_t stride, uint8_t* to, int64_t to_stride) {
  TileRow row[kTile], next[kTile];
  for (int i = 0; i < kTile; ++i) std::memcpy(&row[i], from + i * stride, kTile);
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < kTile / 2; ++i) {
      const TileRow a = row[i], b = row[i + kTile / 2];
      next[2 * i] =
          __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                                14, 30, 15, 31);
    }
    std::memcpy(row, next, sizeof row);
  }
  for (int i = 0; i < kTile; ++i) std::memcpy(to + i * to_stride, &row[i], kTile);
}
#endif

// to[x * to_stride + y] = from[y * stride + x] for a square; the strides may be negative.
inline void transpose(const uint8_t* from, int64_t stride, int size, uint8_t* to,
                      int64_t to_stride) {
#ifdef __AVX512VBMI__
  for (int x = 0; x < size; x += 64)
    for (int y = 0; y < size; y += 64)
      transpose_block(from + y * stride + x, stride, std::min(64, size - y), std::min(64, size - x),
                      to + x * to_stride + y, to_stride);
#else
  const int whole = size / kTile * kTile;
  for (int y = 0; y < whole; y += kTile)
    for (int x = 0; x < whole; x += kTile)
      transpose_tile(from + y * stride + x, stride, to + x * to_stride + y, to_stride);
  for (int y = 0; y < size; ++y)
    for (int x = y < whole ? whole : 0; x < size; ++x) to[x * to_stride + y] = from[y * stride + x];
#endif
}

}  // namespace pyaug::inline PYAUG_ISA
