// Geometry through an affine matrix. Each operation says what its matrix is and how it moves with
// the magnitude; sampling, fill and both gradients are the same for all.
#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

constexpr OperationInfo warp(const char* name, const char* summary, Unit unit, double low,
                             double high) {
  return {.name = name,
          .summary = summary,
          .unit = unit,
          .low = low,
          .high = high,
          .magnitude_gradient = Gradient::exact,
          .mirrored = true,
          .interpolates = true,
          .fills = true};
}

// What all warps share.
struct AnyWarp {
  struct Parameters {
    Affine affine;
    double fill[kMaxChannels];
    bool bilinear;
  };

  // Where an output pixel comes from: the same for all channels, so found once for them. It begins
  // as zeros, here and below: on a GPU what is undefined outside the image would keep a register
  // during all operations.
  struct Place {
    bool inside;
    Affine::Bilinear near;  // the nearest rule: x0, y0 alone
  };
  template <class T>
  PYAUG_LANE static Place locate(const Image<T>& image, const Parameters& p, Position& at) {
    Place place{};
    place.inside =
        p.bilinear ? p.affine.bilinear(at.x, at.y, image.width, image.height, place.near)
                   : p.affine.nearest(at, image.width, image.height, place.near.x0, place.near.y0);
    return place;
  }

  PYAUG_LANE static uint8_t exact(const Image<uint8_t>& image, const Parameters& p,
                                  const Place& place, int c) {
    if (!place.inside) return clip_byte(p.fill[c]);
    if (p.bilinear) return clip_byte(value(image, p, place, c));
    return image.raw(c, place.near.y0, place.near.x0);
  }
  template <class T>
  PYAUG_LANE static Compute<T> value(const Image<T>& image, const Parameters& p, const Place& place,
                                     int c) {
    using F = Compute<T>;
    const Affine::Bilinear& near = place.near;
    if (!place.inside) return F(p.fill[c]);
    if (!p.bilinear) return image(c, near.y0, near.x0);
    const F dx = F(near.dx), dy = F(near.dy);
    const F top = between(image(c, near.y0, near.x0), image(c, near.y0, near.x1), dx);
    const F bottom = between(image(c, near.y1, near.x0), image(c, near.y1, near.x1), dx);
    return between(top, bottom, dy);
  }
  template <class T>
  PYAUG_LANE static Compute<T> value(const Image<T>& image, const Parameters& p, Position& at) {
    return value(image, p, locate(image, p, at), at.c);
  }
  // Through the sampling coordinates; nothing for the nearest rule and outside the image.
  template <class T>
  PYAUG_LANE static Compute<T> slope(const Image<T>& image, const Parameters& p, Position& at) {
    using F = Compute<T>;
    Affine::Bilinear near{};
    if (!p.bilinear || !p.affine.bilinear(at.x, at.y, image.width, image.height, near)) return F(0);
    const F v00 = image(at.c, near.y0, near.x0), v01 = image(at.c, near.y0, near.x1);
    const F v10 = image(at.c, near.y1, near.x0), v11 = image(at.c, near.y1, near.x1);
    const F along_x = between(v01 - v00, v11 - v10, F(near.dy));
    const F along_y = between(v10 - v00, v11 - v01, F(near.dx));
    const Matrix& m = p.affine.slope;
    const double u = at.x + 0.5, v = at.y + 0.5;
    return along_x * F(m.a * u + m.b * v + m.c) + along_y * F(m.d * u + m.e * v + m.f);
  }

  template <class T>
  PYAUG_LANE static Compute<T> adjoint(const Image<T>& image, const Parameters& p,
                                       const Image<Compute<T>>& g, double, Position& at) {
    using F = Compute<T>;
    const int width = image.width, height = image.height;
    const Affine::Window window = p.affine.window(at.x, at.y, width, height);
    F sum(0);
    Position out;
    out.c = at.c;
    for (out.y = window.y0; out.y <= window.y1; ++out.y) {
      for (out.x = window.x0; out.x <= window.x1; ++out.x) {
        if (p.bilinear) {
          Affine::Bilinear near{};
          if (!p.affine.bilinear(out.x, out.y, width, height, near)) continue;
          const F wx = share(at.x, near.x0, near.x1, F(near.dx));
          const F wy = share(at.y, near.y0, near.y1, F(near.dy));
          sum += wx * wy * g(at.c, out.y, out.x);
        } else {
          int x = 0, y = 0;
          if (p.affine.nearest(out, width, height, x, y) && x == at.x && y == at.y)
            sum += g(at.c, out.y, out.x);
        }
      }
    }
    return sum;
  }
  // What a pixel gives to the point between two neighbours, which are one pixel at the edge.
  template <class F>
  PYAUG_LANE static F share(int pixel, int first, int second, F t) {
    return (pixel == first ? F(1) - t : F(0)) + (pixel == second ? t : F(0));
  }
};

// `Self` gives place(magnitude, noise, width, height, matrix, slope).
template <class Self>
struct Warp : AnyWarp {
  static constexpr bool always_bilinear = false;

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>& image, const Step<T>& step,
                                 Parameters& p) {
    if (team.lane() != 0) return;
    Matrix matrix{1, 0, 0, 0, 1, 0}, slope{};
    Self::place(step.magnitude, step.noise, image.width, image.height, matrix, slope);
    p.affine = Affine::make(matrix, slope, image.width, image.height);
    for (int c = 0; c < image.channels; ++c) p.fill[c] = step.fill[c];
    p.bilinear = Self::always_bilinear || step.bilinear;
  }
};

}  // namespace pyaug::inline PYAUG_ISA
