// The sine and cosine of a rotation, the same bits on every device.
//
// Pillow takes them from the C library and rounds to 15 decimals. A GPU's own functions differ from
// the C library's in the last place, and that survives the rounding in every tenth angle or so;
// hence double-double arithmetic here, rounded once to double as the C library does.
#pragma once

#include "platform.h"

namespace pyaug::inline PYAUG_ISA {

constexpr double kPi = 3.141592653589793;  // the double nearest to pi, as Python's math.pi

struct DoubleDouble {
  double high, low;
};

PYAUG_LANE DoubleDouble two_sum(double a, double b) {
  const double s = a + b;
  const double t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

PYAUG_LANE DoubleDouble add(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble s = two_sum(a.high, b.high);
  return two_sum(s.high, s.low + a.low + b.low);
}

PYAUG_LANE DoubleDouble multiply(DoubleDouble a, DoubleDouble b) {
  const double p = a.high * b.high;
  const double error = fma(a.high, b.high, -p) + (a.high * b.low + a.low * b.high);
  return two_sum(p, error);
}

PYAUG_LANE DoubleDouble divide(DoubleDouble a, double n) {
  const double q = a.high / n;
  return two_sum(q, (fma(-q, n, a.high) + a.low) / n);
}

struct SineCosine {
  double sine, cosine;
};

// For |angle| <= 2 pi, in radians.
PYAUG_LANE SineCosine sine_cosine(double angle) {
  constexpr DoubleDouble half_pi{1.5707963267948966, 6.123233995736766e-17};
  const double quarter = rint(angle / half_pi.high);
  const DoubleDouble turns = multiply({quarter, 0.0}, half_pi);
  const DoubleDouble r = add({angle, 0.0}, {-turns.high, -turns.low});  // |r| <= pi / 4
  const DoubleDouble square = multiply(r, r);
  const DoubleDouble minus_square{-square.high, -square.low};
  DoubleDouble sine{1.0, 0.0}, cosine{1.0, 0.0};  // Taylor's series by Horner, to 2^-104
  PYAUG_ROLLED
  for (int n = 28; n >= 2; n -= 2) {
    sine = add({1.0, 0.0}, divide(multiply(sine, minus_square), n * (n + 1.0)));
    cosine = add({1.0, 0.0}, divide(multiply(cosine, minus_square), n * (n - 1.0)));
  }
  sine = multiply(sine, r);
  const int quadrant = static_cast<int>(quarter) & 3;
  const double s = sine.high, c = cosine.high;
  return quadrant == 0   ? SineCosine{s, c}
         : quadrant == 1 ? SineCosine{c, -s}
         : quadrant == 2 ? SineCosine{-s, -c}
                         : SineCosine{-c, s};
}

// Python's round(x, 15) for |x| <= 1: the nearest multiple of 1e-15, by the exact product.
PYAUG_LANE double round_15(double x) {
  const double scaled = x * 1e15;
  const double error = fma(x, 1e15, -scaled);
  double whole = rint(scaled);
  const double rest = (scaled - whole) + error;
  if (rest > 0.5) whole += 1.0;
  if (rest < -0.5) whole -= 1.0;
  return whole / 1e15;
}

// exp for |t| < 0.3, by Taylor's series: sums and products alone, so that devices agree.
PYAUG_LANE double exp_small(double t) {
  double e = 1.0;
  PYAUG_ROLLED
  for (int n = 16; n >= 1; --n) e = 1.0 + e * t / n;
  return e;
}

}  // namespace pyaug::inline PYAUG_ISA
