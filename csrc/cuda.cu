// The CUDA launcher: a block for each image, a thread for each row of a program. Nothing here waits
// for the device.
#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/macros.h>

#include <algorithm>
#include <mutex>

#include "cuda/team.h"
#include "entry.h"
#include "kernels.h"

namespace pyaug {
namespace {

// What a block gives its lanes.
struct Block {
  __device__ static int lane() { return static_cast<int>(threadIdx.x); }
  __device__ static int size() { return static_cast<int>(blockDim.x); }
  __device__ static void sync() { __syncthreads(); }
  // The value of the lane whose number differs by this bit.
  template <class T>
  __device__ static T across(T value, int bit) {
    return __shfl_xor_sync(0xffffffffu, value, bit);
  }
  __device__ static void add_one(uint32_t& counter) { atomicAdd(&counter, 1u); }
  __device__ static void fetch(const void* address) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(__cvta_generic_to_global(address)));
  }
  __device__ static const uint8_t* in_shared_memory(const uint8_t* p) {
    __builtin_assume(__isShared(p));
    return p;
  }
  __device__ static const uint8_t* in_device_memory(const uint8_t* p) {
    __builtin_assume(__isGlobal(p));
    return p;
  }
  // What lies in shared memory is read again at the next pixel, not kept in registers.
  __device__ static void forget() { asm volatile("" ::: "memory"); }
};
using Team = BlockTeam<Block>;

constexpr int kRows = 256;  // of a program, a block

template <class Task>
__global__ void __launch_bounds__(kLaunch<Task>.lanes, kLaunch<Task>.resident)
    image_kernel(const __grid_constant__ Task task, int64_t count, unsigned char* scratch,
                 int64_t scratch_bytes) {
  __shared__ Team::Shared shared;
  __shared__ TeamMemory memory;
  Block block;
  Team team(block, shared);
  for (int64_t b = blockIdx.x; b < count; b += gridDim.x)
    work(team, memory, task, b, scratch + blockIdx.x * scratch_bytes);
}

template <class Task>
__global__ void __launch_bounds__(kRows)
    row_kernel(const __grid_constant__ Task task, int64_t count) {
  for (int64_t b = static_cast<int64_t>(blockIdx.x) * kRows + threadIdx.x; b < count;
       b += static_cast<int64_t>(gridDim.x) * kRows)
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
    const int threads = lanes_for(task);
    int processors = 0, resident = 0;
    STD_CUDA_CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    STD_CUDA_CHECK(
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, image_kernel<Task>, threads, 0));
    const int64_t blocks = std::min<int64_t>(count, int64_t{processors} * std::max(resident, 1));
    const int64_t bytes = task.scratch_bytes();
    Tensor scratch = torch::stable::new_empty(like, {blocks * bytes}, ScalarType::Byte);
    image_kernel<<<static_cast<unsigned>(blocks), threads, 0, current_stream(device)>>>(
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
    const int64_t blocks = std::min<int64_t>((count + kRows - 1) / kRows, 65535);
    row_kernel<<<static_cast<unsigned>(blocks), kRows, 0, current_stream(device)>>>(task, count);
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
