// The CUDA launcher: a block for each image, a thread for each row of a program. Nothing here waits
// for the device.
#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/macros.h>

#include <algorithm>
#include <mutex>

#include "entry.h"
#include "kernels.h"

namespace pyaug {
namespace {

constexpr int kThreads = 256;

// Blocks that share a multiprocessor's registers: the most for which nothing is spilled.
template <class Task>
constexpr int kResident = 3;
template <class T>
constexpr int kResident<ReverseApplyTask<T>> = 2;
template <class T>
constexpr int kResident<ReverseMixTask<T>> = 2;

template <class Task>
__global__ void __launch_bounds__(kThreads, kResident<Task>)
    image_kernel(const __grid_constant__ Task task, int64_t count, unsigned char* scratch,
                 int64_t scratch_bytes) {
  __shared__ BlockTeam::Shared shared;
  __shared__ TeamMemory memory;
  BlockTeam team(shared);
  for (int64_t b = blockIdx.x; b < count; b += gridDim.x)
    work(team, memory, task, b, scratch + blockIdx.x * scratch_bytes);
}

template <class Task>
__global__ void __launch_bounds__(kThreads)
    row_kernel(const __grid_constant__ Task task, int64_t count) {
  for (int64_t b = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; b < count;
       b += static_cast<int64_t>(gridDim.x) * kThreads)
    work(task, b);
}

cudaStream_t current_stream(int device) {
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
  return static_cast<cudaStream_t>(stream);
}

struct CudaLauncher {
  template <class Task>
  static void each_image(const Tensor& like, int64_t count, const Task& task,
                         const SampleTask* draw = nullptr) {
    if (count == 0) return;
    if (draw) each_draw(like, count, *draw);
    const int device = like.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    // No more blocks than run at once: each has scratch of its own.
    int processors = 0, resident = 0;
    STD_CUDA_CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    STD_CUDA_CHECK(
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, image_kernel<Task>, kThreads, 0));
    const int64_t blocks = std::min<int64_t>(count, int64_t{processors} * std::max(resident, 1));
    const int64_t bytes = task.scratch_bytes();
    Tensor scratch = torch::stable::new_empty(like, {blocks * bytes}, ScalarType::Byte);
    image_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, current_stream(device)>>>(
        task, count, static_cast<unsigned char*>(scratch.data_ptr()), bytes);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }

  static void each_draw(const Tensor& like, int64_t count, const SampleTask& draw) {
    // No other thread's draw from this state may come between these two on their stream.
    static std::mutex together;
    const std::lock_guard<std::mutex> lock(together);
    each_row(like, count, draw);
    if (!draw.index) each_row(like, 1, AdvanceTask{draw.state, count});
  }

  template <class Task>
  static void each_row(const Tensor& like, int64_t count, const Task& task) {
    if (count == 0) return;
    const int device = like.get_device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    const int64_t blocks = std::min<int64_t>((count + kThreads - 1) / kThreads, 65535);
    row_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, current_stream(device)>>>(task, count);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }

  // Codes on the device cannot be looked at without waiting for it; an unknown one is the identity.
  static void check_codes(const Tensor&, const Tensor&) {}
};

}  // namespace
}  // namespace pyaug

STABLE_TORCH_LIBRARY_IMPL(pyaug, CUDA, library) {
  pyaug::register_entries<pyaug::CudaLauncher>(library);
}
