// What Python has to know, and nothing of torch: the operation table, where each step moves things,
// and how this was built.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <iterator>

#include "cpu/instruction_sets.h"
#include "geometry.h"

namespace py = pybind11;

namespace {

const char* name(pyaug::Unit unit) {
  constexpr const char* names[] = {"",        "threshold", "addend",  "bits", "factor",
                                   "tangent", "fraction",  "degrees", "area", "weight"};
  return names[static_cast<int>(unit)];
}

const char* name(pyaug::Gradient gradient) {
  constexpr const char* names[] = {"none", "exact", "straight-through"};
  return names[static_cast<int>(gradient)];
}

struct Row {
  py::list& rows;
  template <class Op>
  void operator()() const {
    const pyaug::OperationInfo& info = Op::info;
    py::dict row;
    row["name"] = info.name;
    row["summary"] = info.summary;
    row["unit"] = name(info.unit);
    row["low"] = info.low;
    row["high"] = info.high;
    row["identity"] = info.identity;
    row["image_gradient"] = name(info.image_gradient);
    row["magnitude_gradient"] = name(info.magnitude_gradient);
    row["span"] = info.span;
    row["mirrored"] = info.mirrored;
    row["interpolates"] = info.interpolates;
    row["fills"] = info.fills;
    row["square"] = info.square;
    row["noise"] = info.noise;
    row["moves"] = pyaug::Moves<Op>;
    rows.append(row);
  }
};

py::list operations() {
  py::list rows;
  for (int code = 0; code < pyaug::Operations::size; ++code)
    pyaug::Operations::visit(code, Row{rows});
  return rows;
}

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

// Of N steps on images of one size: where an output point comes from, x = a x' + b y' + c and
// y = d x' + e y' + f, and what cutout fills.
py::tuple motions(const Array<int32_t>& operation, const Array<double>& magnitude,
                  const Array<float>& noise, int height, int width) {
  const py::ssize_t count = operation.size();
  if (magnitude.size() != count || noise.size() != count * 4)
    throw py::value_error("expected a magnitude and four noise values for every operation");
  py::array_t<double> sources({count, py::ssize_t{6}});
  py::array_t<int32_t> holes({count, py::ssize_t{4}});
  for (py::ssize_t i = 0; i < count; ++i) {
    const pyaug::Motion motion = pyaug::motion_of(operation.data()[i], magnitude.data()[i],
                                                  noise.data() + i * 4, width, height);
    const pyaug::Matrix& m = motion.source;
    const double source[] = {m.a, m.b, m.c, m.d, m.e, m.f};
    const int32_t hole[] = {motion.x0, motion.y0, motion.x1, motion.y1};
    std::copy(std::begin(source), std::end(source), sources.mutable_data(i, 0));
    std::copy(std::begin(hole), std::end(hole), holes.mutable_data(i, 0));
  }
  return py::make_tuple(sources, holes);
}

py::array_t<int64_t> partners(const Array<float>& noise, int64_t count) {
  if (noise.size() % 4 != 0) throw py::value_error("expected four noise values for every step");
  py::array_t<int64_t> rows(noise.size() / 4);
  for (py::ssize_t i = 0; i < rows.size(); ++i)
    rows.mutable_data()[i] = pyaug::partner_row(noise.data() + i * 4, count);
  return rows;
}

py::list instruction_sets() {
  py::list names;
  for (size_t i = 0; i < std::size(pyaug::kInstructionSets); ++i)
    if (pyaug::runs_here(static_cast<pyaug::InstructionSet>(i)))
      names.append(pyaug::kInstructionSets[i]);
  return names;
}

const char* instruction_set() {
  return pyaug::kInstructionSets[static_cast<int>(pyaug::instruction_set())];
}

}  // namespace

PYBIND11_MODULE(_table, module) {
  module.doc() = "The operation table, where steps move things, and the facts of this build.";
  module.def("operations", &operations, "One dict an operation, in the order of their codes.");
  module.def("motions", &motions, py::arg("operation"), py::arg("magnitude"), py::arg("noise"),
             py::arg("height"), py::arg("width"),
             "Of N steps, noise (N, 4): float64 (N, 6), an output point's source; int32 (N, 4), "
             "cutout's square x0, y0, x1, y1.");
  module.def("partners", &partners, py::arg("noise"), py::arg("count"),
             "int64 (N,): which of `count` partners sample_pairing takes, by noise (N, 4).");
  module.def("instruction_sets", &instruction_sets, "Those that this CPU runs.");
  module.def("instruction_set", &instruction_set, "The one that the CPU kernels use.");
  module.attr("version") = PYAUG_VERSION;
  module.attr("compiler") = PYAUG_COMPILER;
  module.attr("built_with_torch") = PYAUG_BUILT_WITH_TORCH;
  module.attr("cuda_architectures") = PYAUG_CUDA_ARCHITECTURES;  // empty: no CUDA library
  module.attr("cuda_compiler") = PYAUG_CUDA_COMPILER;
}
