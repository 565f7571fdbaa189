// Vectors of bytes, int16, int32 and float32 as wide as a register, and the operations between them
// that the compiler's vectors lack.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "blocks.h"

namespace pyaug::inline PYAUG_ISA {

static_assert(std::endian::native == std::endian::little);  // for parts of lanes

#if defined(__AVX512VBMI__)
#define PYAUG_WIDE(name) _mm512_##name
using Wide = __m512i;
#elif defined(__AVX2__)
#define PYAUG_WIDE(name) _mm256_##name
using Wide = __m256i;
#elif defined(__SSE2__)
#define PYAUG_WIDE(name) _mm_##name
using Wide = __m128i;
#else
using Wide = uint8_t __attribute__((vector_size(16)));
#endif
using Bytes = uint8_t __attribute__((vector_size(sizeof(Wide))));
using Shorts = int16_t __attribute__((vector_size(sizeof(Wide))));
using UnsignedShorts = uint16_t __attribute__((vector_size(sizeof(Wide))));
using Ints = int32_t __attribute__((vector_size(sizeof(Wide))));
using Floats = float __attribute__((vector_size(sizeof(Wide))));

// A register in two. Which lanes are the lower ones is the same for all registers.
template <class Lanes>
struct Halves {
  Lanes low, high;
};
template <class Lanes>
struct Quarters {
  Lanes part[4];
};

#ifdef PYAUG_WIDE
// a[0], b[0], a[1], b[1] and so on.
inline Halves<Bytes> interleaved(Bytes a, Bytes b) {
  return {(Bytes)PYAUG_WIDE(unpacklo_epi8)((Wide)a, (Wide)b),
          (Bytes)PYAUG_WIDE(unpackhi_epi8)((Wide)a, (Wide)b)};
}
// Each times 65,536.
inline Halves<Ints> shifted(Shorts shorts) {
  const Wide all = (Wide)shorts, zero{};
  return {(Ints)PYAUG_WIDE(unpacklo_epi16)(zero, all), (Ints)PYAUG_WIDE(unpackhi_epi16)(zero, all)};
}
// Clipped to what 16 bits hold.
inline Shorts narrowed(Halves<Ints> halves) {
  return (Shorts)PYAUG_WIDE(packs_epi32)((Wide)halves.low, (Wide)halves.high);
}
// Clipped to 0 .. 255.
inline Bytes narrowed(Halves<Shorts> halves) {
  return (Bytes)PYAUG_WIDE(packus_epi16)((Wide)halves.low, (Wide)halves.high);
}
// a b / 65,536, rounded down.
inline Shorts high_product(Shorts a, Shorts b) {
  return (Shorts)PYAUG_WIDE(mulhi_epi16)((Wide)a, (Wide)b);
}
#else
inline Halves<Bytes> interleaved(Bytes a, Bytes b) {
  Halves<Bytes> halves;
  for (int i = 0; i < 8; ++i) {
    halves.low[2 * i] = a[i];
    halves.low[2 * i + 1] = b[i];
    halves.high[2 * i] = a[i + 8];
    halves.high[2 * i + 1] = b[i + 8];
  }
  return halves;
}
inline Halves<Ints> shifted(Shorts shorts) {
  Halves<Ints> halves;
  for (int i = 0; i < 4; ++i) {
    halves.low[i] = shorts[i] * 65536;
    halves.high[i] = shorts[i + 4] * 65536;
  }
  return halves;
}
inline Shorts narrowed(Halves<Ints> halves) {
  const auto clip = [](int v) { return static_cast<int16_t>(std::clamp(v, -32768, 32767)); };
  Shorts shorts;
  for (int i = 0; i < 4; ++i) {
    shorts[i] = clip(halves.low[i]);
    shorts[i + 4] = clip(halves.high[i]);
  }
  return shorts;
}
inline Bytes narrowed(Halves<Shorts> halves) {
  const auto clip = [](int v) { return static_cast<uint8_t>(std::clamp(v, 0, 255)); };
  Bytes bytes;
  for (int i = 0; i < 8; ++i) {
    bytes[i] = clip(halves.low[i]);
    bytes[i + 8] = clip(halves.high[i]);
  }
  return bytes;
}
inline Shorts high_product(Shorts a, Shorts b) {
  Shorts high;
  for (int i = 0; i < 8; ++i) high[i] = static_cast<int16_t>((int32_t{a[i]} * b[i]) >> 16);
  return high;
}
#endif

inline Halves<Shorts> widened(Bytes bytes) {
  const Halves<Bytes> halves = interleaved(bytes, Bytes{});
  return {(Shorts)halves.low, (Shorts)halves.high};
}

// Each times 65,536.
inline Quarters<Floats> scaled(Halves<Shorts> halves) {
  const Halves<Ints> low = shifted(halves.low), high = shifted(halves.high);
  const auto number = [](Ints ints) { return __builtin_convertvector(ints, Floats); };
  return {{number(low.low), number(low.high), number(high.low), number(high.high)}};
}
// of(each part), clipped to 0 .. 255.
template <class Of>
Bytes narrowed(const Quarters<Ints>& quarters, const Of& of) {
  const auto half = [&](int q) {
    return narrowed(Halves<Ints>{of(quarters.part[q]), of(quarters.part[q + 1])});
  };
  return narrowed(Halves<Shorts>{half(0), half(2)});
}

// a pair[0] + b pair[1], for a and b of -128 to 127 whose sums fit.
template <int16_t a, int16_t b>
Shorts pair_sum(Bytes pairs) {
#ifdef __AVX2__
  constexpr int16_t both = static_cast<int16_t>((a & 255) | (b & 255) << 8);
  return (Shorts)PYAUG_WIDE(maddubs_epi16)((Wide)pairs, PYAUG_WIDE(set1_epi16)(both));
#else
  return ((Shorts)pairs & int16_t{255}) * a + (Shorts)((UnsignedShorts)pairs >> 8) * b;
#endif
}

// a b + c, rounded once or twice.
inline Floats product_sum(Floats a, Floats b, Floats c) {
#ifdef __AVX2__
  return (Floats)PYAUG_WIDE(fmadd_ps)(a, b, c);
#else
  return a * b + c;
#endif
}

// A bit for each byte: whether it is not 0.
inline uint64_t flags(Bytes bytes) {
#if defined(__AVX512VBMI__)
  return _mm512_test_epi8_mask((Wide)bytes, (Wide)bytes);
#elif defined(PYAUG_WIDE)
  const auto zeros = PYAUG_WIDE(movemask_epi8)((Wide)(bytes == 0));
  return static_cast<uint32_t>(zeros) ^ ((uint64_t{1} << sizeof bytes) - 1);
#else
  uint64_t set = 0;
  for (size_t k = 0; k < sizeof bytes; ++k) set |= uint64_t{bytes[k] != 0} << k;
  return set;
#endif
}

#ifdef __AVX512VBMI__
// The first n of 64 lanes; none for n <= 0.
inline __mmask64 first(int64_t n) {
  return n >= 64 ? ~__mmask64{0} : n > 0 ? (__mmask64{1} << n) - 1 : 0;
}
#endif

// Whether one of them is 0.
inline bool any_zero(Shorts a, Shorts b) {
#ifdef __AVX512VBMI__
  const auto zeros = [](Shorts v) { return _mm512_testn_epi16_mask((Wide)v, (Wide)v); };
  return (zeros(a) | zeros(b)) != 0;
#else
  return flags((Bytes)((a == 0) | (b == 0))) != 0;
#endif
}

// The first n bytes from there; at most a register of them, and then zeros.
inline Bytes load_bytes(const uint8_t* from, int64_t n) {
#ifdef __AVX512VBMI__
  return (Bytes)_mm512_maskz_loadu_epi8(first(n), from);
#else
  Bytes bytes{};
  if (n >= int64_t{sizeof bytes})
    std::memcpy(&bytes, from, sizeof bytes);
  else
    std::memcpy(&bytes, from, static_cast<size_t>(n));
  return bytes;
#endif
}
// The first n of them, or all.
inline void store_bytes(Bytes bytes, uint8_t* to, int64_t n) {
#ifdef __AVX512VBMI__
  _mm512_mask_storeu_epi8(to, first(n), (Wide)bytes);
#else
  if (n >= int64_t{sizeof bytes})
    std::memcpy(to, &bytes, sizeof bytes);
  else
    std::memcpy(to, &bytes, static_cast<size_t>(n));
#endif
}

// to = of(a register of each row), for n bytes of them; `to` may be one of the rows.
template <int rows, class Of>
PYAUG_LANE void each_register(const uint8_t* const (&row)[rows], int64_t n, uint8_t* to,
                              const Of& of) {
  constexpr int64_t size = sizeof(Bytes);
  const auto one = [&](int64_t i, int64_t count) {
    Bytes in[rows];
    for (int r = 0; r < rows; ++r) in[r] = load_bytes(row[r] + i, count);
    store_bytes(of(in), to + i, count);
  };
  int64_t i = 0;
  for (; i + size <= n; i += size) {
    if (i % 64 == 0) fetch_ahead(row[rows - 1] + i, to + i);
    one(i, size);
  }
  if (i < n) one(i, n - i);
}

}  // namespace pyaug::inline PYAUG_ISA
