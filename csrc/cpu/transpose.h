// A plane of bytes with its rows and columns exchanged.
#pragma once

#include <cstring>

#include "blocks.h"

namespace pyaug::inline PYAUG_ISA {

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

// to[x * to_stride + y] = from[y * stride + x] for a square; the strides may be negative.
inline void transpose(const uint8_t* from, int64_t stride, int size, uint8_t* to,
                      int64_t to_stride) {
  const int whole = size / kTile * kTile;
  for (int y = 0; y < whole; y += kTile)
    for (int x = 0; x < whole; x += kTile)
      transpose_tile(from + y * stride + x, stride, to + x * to_stride + y, to_stride);
  for (int y = 0; y < size; ++y)
    for (int x = y < whole ? whole : 0; x < size; ++x) to[x * to_stride + y] = from[y * stride + x];
}

}  // namespace pyaug::inline PYAUG_ISA
