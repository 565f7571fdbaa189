// What Python has to know, and nothing of torch: the operation table and how this was built.
#include <pybind11/pybind11.h>

#include "cpu/instruction_sets.h"
#include "ops/ops.h"

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
    rows.append(row);
  }
};

py::list operations() {
  py::list rows;
  for (int code = 0; code < pyaug::Operations::size; ++code)
    pyaug::Operations::visit(code, Row{rows});
  return rows;
}

py::list instruction_sets() {
  py::list names;
  for (int i = 0; i < 4; ++i)
    if (pyaug::runs_here(static_cast<pyaug::InstructionSet>(i)))
      names.append(pyaug::kInstructionSets[i]);
  return names;
}

const char* instruction_set() {
  return pyaug::kInstructionSets[static_cast<int>(pyaug::instruction_set())];
}

}  // namespace

PYBIND11_MODULE(_table, module) {
  module.doc() = "The operation table and the facts of this build.";
  module.def("operations", &operations, "One dict an operation, in the order of their codes.");
  module.def("instruction_sets", &instruction_sets, "Those that this CPU runs.");
  module.def("instruction_set", &instruction_set, "The one that the CPU kernels use.");
  module.attr("version") = PYAUG_VERSION;
  module.attr("compiler") = PYAUG_COMPILER;
  module.attr("built_with_torch") = PYAUG_BUILT_WITH_TORCH;
  module.attr("cuda_architectures") = PYAUG_CUDA_ARCHITECTURES;  // empty: no CUDA library
  module.attr("cuda_compiler") = PYAUG_CUDA_COMPILER;
}
