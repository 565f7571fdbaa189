// What differs between a CPU and a CUDA compiler, in one place. Only core/ mentions __CUDACC__.
#pragma once

#include <cmath>
#include <cstdint>

// What a team's lanes run: on the host in cpu.cpp, on the device (and nowhere else) in cuda.cu.
#ifdef __CUDACC__
#define PYAUG_LANE __device__ inline
#define PYAUG_APART __device__ __noinline__    // takes its registers when it is called, not before
#define PYAUG_BOTH __host__ __device__ inline  // for launchers too
#define PYAUG_ROLLED _Pragma("unroll 1")       // for loops that an image runs but once
#else
#define PYAUG_LANE inline
#define PYAUG_APART inline
#define PYAUG_BOTH [[gnu::always_inline]] inline  // the same symbol for all instruction sets
#define PYAUG_ROLLED
#endif

// The kernels of a CPU are compiled once for each instruction set (cpu/kernels.cpp), each time in a
// namespace of their own: a linker keeps one copy of an inline function, whoever made it.
#ifndef PYAUG_ISA
#define PYAUG_ISA common
#endif

namespace pyaug::inline PYAUG_ISA {

// The value, without a CUDA compiler's knowing where it is from: what follows from it is computed
// where it is used, rather than before the loops around and kept in registers all through them.
PYAUG_LANE int of_unknown_origin(int value) {
#ifdef __CUDACC__
  asm volatile("" : "+r"(value));
#endif
  return value;
}

}  // namespace pyaug::inline PYAUG_ISA

namespace pyaug {

// The type in which a stored pixel type is computed; core/half.h adds the 16-bit ones.
template <class T>
struct ComputeOf {
  using type = T;
};
template <>
struct ComputeOf<uint8_t> {
  using type = double;
};
template <class T>
using Compute = typename ComputeOf<T>::type;

template <class T>
constexpr bool is_exact = false;
template <>
inline constexpr bool is_exact<uint8_t> = true;

}  // namespace pyaug
