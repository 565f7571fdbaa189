// The CPU launcher without tensors: what csrc/cpu.cpp gives to csrc/direct.cpp.
#pragma once

#include "tasks.h"

namespace pyaug {

// Applies programs to `count` images of bytes; with a draw, draws them first.
void launch(int64_t count, const ApplyTask<uint8_t>& task, const SampleTask* draw);

// Throws where the first of each row's columns holds no operation's code, or that of one that wants
// square images where they are not.
template <class Code>
void check_columns(const Code* codes, int64_t rows, int64_t columns, int64_t height, int64_t width);

}  // namespace pyaug
