// How often each byte occurs. A bit says which pixels have a value, and vector instructions count
// bits; meanwhile, in large images, scalar ones count other pixels one by one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "transpose.h"

namespace pyaug::inline PYAUG_ISA {

#ifdef __AVX512VBMI__
constexpr int kPacket = 512;  // pixels whose bits fill a register

// bit[k] holds bit k of every pixel; their order is the same in all of them.
[[gnu::always_inline]] inline void bits_of(const uint8_t* pixels, __m512i bit[8]) {
  uint8_t byte[64];
  for (int k = 0; k < 8; ++k)
    for (int j = 0; j < 8; ++j) byte[8 * k + j] = static_cast<uint8_t>(8 * j + k);
  const __m512i order = _mm512_loadu_si512(byte);
  const __m512i diagonal = _mm512_set1_epi64(static_cast<int64_t>(0x8040201008040201));
  __m512i row[8];
  for (int j = 0; j < 8; ++j) {
    // A product with the unit matrix transposes the other factor: 8 pixels by 8 bits.
    const __m512i eights = _mm512_loadu_si512(pixels + 64 * j);
    const __m512i bits = _mm512_gf2p8affine_epi64_epi8(diagonal, eights, 0);
    row[j] = _mm512_maskz_permutexvar_epi8(~__mmask64{0}, order, bits);
  }
  transpose_eights(row, bit);  // its k-th 64 bits were bit k of 64 pixels
}

// has[v] says which pixels' four bits are the number v.
inline void flags_of(const __m512i bit[4], __m512i has[16]) {
  __m512i low[4], high[4];
  for (int k = 0; k < 2; ++k) {
    __m512i* const two = k == 0 ? low : high;
    const __m512i a = bit[2 * k], b = bit[2 * k + 1];
    two[0] = ~(a | b);
    two[1] = a & ~b;
    two[2] = b & ~a;
    two[3] = a & b;
  }
  for (int v = 0; v < 16; ++v) has[v] = high[v / 4] & low[v % 4];
}

// The sums of eight registers' lanes.
inline __m256i sums_of(const __m512i lanes[8]) {
  const auto pair = [](__m512i a, __m512i b) {
    return _mm512_maskz_unpacklo_epi64(0xff, a, b) + _mm512_maskz_unpackhi_epi64(0xff, a, b);
  };
  const auto fold = [](__m512i a, __m512i b) {
    return _mm512_maskz_shuffle_i64x2(0xff, a, b, 0x88) +
           _mm512_maskz_shuffle_i64x2(0xff, a, b, 0xdd);
  };
  const __m512i sums = fold(fold(pair(lanes[0], lanes[1]), pair(lanes[2], lanes[3])),
                            fold(pair(lanes[4], lanes[5]), pair(lanes[6], lanes[7])));
  return _mm512_maskz_cvtepi64_epi32(0xff, sums);
}

inline void add_four(__m128i numbers, uint32_t* to) {
  auto* const four = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(four, _mm_add_epi32(_mm_loadu_si128(four), numbers));
}

// counts[v] += how often v is among `packets` of pixels, less `padding` zeros at their end. Beside
// each 16 values of the first `pairs` packets kWords times eight other pixels are counted in
// `single`, by turns, as equal neighbours would wait for each other.
constexpr int kPackets = 14;  // their flags fit the first-level cache
constexpr int kWords = 3;
constexpr int kBeside = 16 * 8 * kWords;

inline void count_packets(const uint8_t* pixels, int n, const uint8_t* beside, int pairs,
                          uint32_t* counts, uint32_t (*single)[256]) {
  __m512i low[kPackets][16], high[kPackets][16];  // by halves of a byte
  const int packets = (n + kPacket - 1) / kPacket, padding = packets * kPacket - n;
  for (int p = 0; p < packets; ++p) {
    __m512i bit[8];
    if (n - kPacket * p >= kPacket) {
      bits_of(pixels + kPacket * p, bit);
    } else {
      uint8_t padded[kPacket] = {};
      std::memcpy(padded, pixels + kPacket * p, static_cast<size_t>(n - kPacket * p));
      bits_of(padded, bit);
    }
    flags_of(bit, low[p]);
    flags_of(bit + 4, high[p]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 16; j += 4) {
      __m512i found[4][4] = {};
      for (int p = 0; p < packets; ++p) {
        for (int k = 0; k < 16; ++k)
          found[k / 4][k % 4] += _mm512_popcnt_epi64(high[p][i + k / 4] & low[p][j + k % 4]);
        if (p >= pairs) continue;
        asm volatile("" : "+r"(beside));  // else the compiler makes two loops of this one
        for (int w = 0; w < kWords; ++w, beside += 8) {
          uint64_t eight;
          std::memcpy(&eight, beside, 8);
          for (int k = 0; k < 8; ++k) ++single[k][eight >> 8 * k & 255];
        }
      }
      for (int k = 0; k < 4; k += 2) {
        uint32_t* const first = counts + 16 * (i + k) + j;
        const __m256i sums = sums_of(found[k]);
        add_four(_mm256_castsi256_si128(sums), first);
        add_four(_mm256_extracti128_si256(sums, 1), first + 16);
      }
    }
  counts[0] -= static_cast<uint32_t>(padding);
}

// counts[v] += how often v is among n pixels.
inline void count_pixels(const uint8_t* pixels, int64_t n, uint32_t* counts) {
  constexpr int64_t pair = kPacket + kBeside, few = 8192;  // where eight more counters do not pay
  uint32_t single[8][256];
  if (n >= few) {
    std::memset(single, 0, sizeof single);
    while (n >= pair) {
      const int pairs = static_cast<int>(std::min<int64_t>(n / pair, kPackets));
      count_packets(pixels, kPacket * pairs, pixels + kPacket * pairs, pairs, counts, single);
      pixels += pair * pairs;
      n -= pair * pairs;
    }
    for (const auto& each : single)
      for (int v = 0; v < 256; ++v) counts[v] += each[v];
  }
  for (; n > 0; pixels += kPackets * kPacket, n -= kPackets * kPacket)
    count_packets(pixels, static_cast<int>(std::min<int64_t>(n, kPackets * kPacket)), nullptr, 0,
                  counts, nullptr);
}
#endif

}  // namespace pyaug::inline PYAUG_ISA
