// The list of operations. An operation's code is its place here: programs hold it, policies name
// it. To add one: write its file, name it here, and give python_tests/references.py its oracle.
#pragma once

#include <algorithm>
#include <tuple>
#include <type_traits>

#include "auto_contrast.h"
#include "blur.h"
#include "brightness.h"
#include "color.h"
#include "contrast.h"
#include "crop.h"
#include "cutout.h"
#include "equalize.h"
#include "flip_x.h"
#include "flip_y.h"
#include "identity.h"
#include "invert.h"
#include "posterize.h"
#include "resized_crop.h"
#include "rotate.h"
#include "rotate_90.h"
#include "sample_pairing.h"
#include "sharpness.h"
#include "shear_x.h"
#include "shear_y.h"
#include "smooth.h"
#include "solarize.h"
#include "solarize_add.h"
#include "translate_x.h"
#include "translate_y.h"

namespace pyaug::inline PYAUG_ISA {

template <class... Ops>
struct OperationList {
  static constexpr int size = sizeof...(Ops);

  // Room for the parameters of any of them.
  struct Parameters {
    alignas(8) unsigned char room[std::max({sizeof(typename Ops::Parameters)...})];
  };

  // Calls run<Op>() for the operation with this code; for the first, the identity, if there is
  // none.
  template <class Run>
  PYAUG_LANE static void visit(int code, const Run& run) {
    visit_within<0, size>(code >= 0 && code < size ? code : 0, run);
  }

 private:
  template <int code>
  using At = std::tuple_element_t<code, std::tuple<Ops...>>;

  // By halves: a GPU has few barriers where the two sides of a branch meet again, and a chain of 25
  // branches would keep the rest of them in registers during all operations.
  template <int first, int last, class Run>
  PYAUG_LANE static void visit_within(int code, const Run& run) {
    constexpr int middle = (first + last) / 2;
    if constexpr (last - first == 1)
      run.template operator()<At<first>>();
    else if (code < middle)
      visit_within<first, middle>(code, run);
    else
      visit_within<middle, last>(code, run);
  }
};

using Operations = OperationList<Identity, Invert, Solarize, SolarizeAdd, Posterize, Brightness,
                                 Color, Contrast, Sharpness, Smooth, Blur, AutoContrast, Equalize,
                                 ShearX, ShearY, TranslateX, TranslateY, Rotate, FlipX, FlipY,
                                 Rotate90, Cutout, Crop, ResizedCrop, SamplePairing>;

constexpr int kIdentity = 0;

// Kinds of operations, for those who work on more than a pixel at a time. Of points: an output
// pixel depends on the same input pixel alone.
template <class Op>
concept OfPoints = requires(const typename Op::Parameters& p) { Op::exact_point(uint8_t{}, p, 0); };
template <class Op>
concept Enhancing = std::is_base_of_v<Enhancer<Op>, Op>;
template <class Op>
concept Warping = std::is_base_of_v<AnyWarp, Op>;
template <class Op>
concept Rearranging = std::is_base_of_v<AnyRearrangement, Op>;
template <class Op>
concept Filtering = requires { typename Op::Stencil; };

}  // namespace pyaug::inline PYAUG_ISA
