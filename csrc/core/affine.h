// Where an output pixel comes from: x' = a x + b y + c, y' = d x + e y + f, as in Pillow.
#pragma once

#include "image.h"

namespace pyaug::inline PYAUG_ISA {

struct Matrix {
  double a, b, c, d, e, f;
};

// A matrix made ready for one image size.
struct Affine {
  enum Path : int { kSeparable, kFixed, kWalked };  // Pillow's three ways to sample nearest

  Matrix matrix;
  Matrix slope;    // d matrix / d magnitude
  Matrix inverse;  // of the linear part: a, b, d, e alone
  Path path;
  int64_t fixed[6];  // 16.16

  PYAUG_LANE static int64_t fix(double v) { return static_cast<int64_t>(floor(v * 65536.0 + 0.5)); }

  PYAUG_LANE static bool small(const Matrix& m, double x, double y) {
    return fabs(x * m.a + y * m.b + m.c) < 32768.0 && fabs(x * m.d + y * m.e + m.f) < 32768.0;
  }

  PYAUG_LANE static Affine make(const Matrix& m, const Matrix& slope, int width, int height) {
    Affine affine{m, slope, {}, kWalked, {}};
    const double determinant = m.a * m.e - m.b * m.d;
    affine.inverse = {m.e / determinant,  -m.b / determinant, 0,
                      -m.d / determinant, m.a / determinant,  0};
    if (m.b == 0.0 && m.d == 0.0) {
      affine.path = kSeparable;
    } else if (small(m, 0, 0) && small(m, width, 0) && small(m, 0, height) &&
               small(m, width, height)) {
      affine.path = kFixed;
      affine.fixed[0] = fix(m.a);
      affine.fixed[1] = fix(m.b);
      affine.fixed[2] = fix(m.c + m.a * 0.5 + m.b * 0.5);
      affine.fixed[3] = fix(m.d);
      affine.fixed[4] = fix(m.e);
      affine.fixed[5] = fix(m.f + m.d * 0.5 + m.e * 0.5);
    }
    return affine;
  }

  // Truncates a coordinate to a pixel; false outside [0, size) and for NaN.
  PYAUG_LANE static bool inside(double v, int size, int& pixel) {
    if (!(v >= 0.0 && v < size)) return false;
    pixel = static_cast<int>(v);
    return true;
  }

  // The pixel that `at` comes from by the nearest rule; false where it lies outside the image.
  PYAUG_LANE bool nearest(Position& at, int width, int height, int& x, int& y) const {
    if (path == kSeparable) return separable(at, width, height, x, y);
    if (path == kFixed) return in_fixed_point(at, width, height, x, y);
    walk_to(at);
    return inside(at.walk.x, width, x) && inside(at.walk.y, height, y);
  }
  PYAUG_LANE bool separable(const Position& at, int width, int height, int& x, int& y) const {
    return column_inside(matrix, at.x, width, x) && row_inside(matrix, at.y, height, y);
  }
  PYAUG_LANE static bool column_inside(const Matrix& m, int to, int width, int& x) {
    return inside((m.c + m.a * 0.5) + m.a * to, width, x);
  }
  PYAUG_LANE static bool row_inside(const Matrix& m, int to, int height, int& y) {
    return inside((m.f + m.e * 0.5) + m.e * to, height, y);
  }
  PYAUG_LANE bool in_fixed_point(const Position& at, int width, int height, int& x, int& y) const {
    const int64_t u = (fixed[2] + fixed[0] * at.x + fixed[1] * at.y) >> 16;
    const int64_t v = (fixed[5] + fixed[3] * at.x + fixed[4] * at.y) >> 16;
    x = static_cast<int>(u);
    y = static_cast<int>(v);
    return u >= 0 && u < width && v >= 0 && v < height;
  }

  // Pillow adds up the coordinates of large images pixel by pixel, rounding as it goes: so do we.
  PYAUG_LANE void walk_to(Position& at) const {
    Walk& walk = at.walk;
    if (walk.row < 0 || walk.row > at.y) {
      walk.row = 0;
      walk.row_x = matrix.c + matrix.b * 0.5 + matrix.a * 0.5;
      walk.row_y = matrix.f + matrix.e * 0.5 + matrix.d * 0.5;
      restart(walk);
    }
    while (walk.row < at.y) {
      ++walk.row;
      walk.row_x += matrix.b;
      walk.row_y += matrix.e;
      restart(walk);
    }
    if (walk.column > at.x) restart(walk);
    while (walk.column < at.x) {
      ++walk.column;
      walk.x += matrix.a;
      walk.y += matrix.d;
    }
  }
  PYAUG_LANE static void restart(Walk& walk) {
    walk.column = 0;
    walk.x = walk.row_x;
    walk.y = walk.row_y;
  }

  // The four neighbours of the point that (x, y) comes from, and the way between them.
  struct Bilinear {
    int x0, x1, y0, y1;
    double dx, dy;
  };
  PYAUG_LANE bool bilinear(int x, int y, int width, int height, Bilinear& at) const {
    const double u = x + 0.5, v = y + 0.5;
    double sx = matrix.a * u + matrix.b * v + matrix.c;
    double sy = matrix.d * u + matrix.e * v + matrix.f;
    if (!(sx >= 0.0 && sx < width && sy >= 0.0 && sy < height)) return false;
    sx -= 0.5;
    sy -= 0.5;
    const double left = floor(sx), top = floor(sy);
    at.dx = sx - left;
    at.dy = sy - top;
    const int i = static_cast<int>(left), j = static_cast<int>(top);
    at.x0 = i < 0 ? 0 : i;
    at.x1 = i + 1 < width ? i + 1 : width - 1;
    at.y0 = j < 0 ? 0 : j;
    at.y1 = j + 1 < height ? j + 1 : height - 1;
    return true;
  }

  // The output pixels that may touch input pixel (x, y): those whose source lies within one pixel.
  struct Window {
    int x0, x1, y0, y1;  // inclusive
  };
  PYAUG_LANE Window window(int x, int y, int width, int height) const {
    const double all = matrix.a + matrix.b + matrix.c + matrix.d + matrix.e + matrix.f;
    if (!(fabs(all) < INFINITY)) return {0, -1, 0, -1};  // every output pixel lies outside
    const double u = x + 0.5 - matrix.c, v = y + 0.5 - matrix.f;
    const double centre_x = inverse.a * u + inverse.b * v - 0.5;
    const double centre_y = inverse.d * u + inverse.e * v - 0.5;
    const double reach_x = fabs(inverse.a) + fabs(inverse.b) + 0.001;
    const double reach_y = fabs(inverse.d) + fabs(inverse.e) + 0.001;
    Window w;
    span(centre_x, reach_x, width, w.x0, w.x1);
    span(centre_y, reach_y, height, w.y0, w.y1);
    return w;
  }
  // The pixels of [centre - reach, centre + reach]; all of them where that is not a number.
  PYAUG_LANE static void span(double centre, double reach, int size, int& first, int& last) {
    const double low = ceil(centre - reach), high = floor(centre + reach);
    first = low > 0.0 ? (low < size ? static_cast<int>(low) : size) : 0;
    last = high < size - 1 ? (high >= 0.0 ? static_cast<int>(high) : -1) : size - 1;
  }
};

}  // namespace pyaug::inline PYAUG_ISA
