// All of the model in one translation unit, for one instruction set: the widest that the compiler's options allow.
//
// Compiled alone it is the whole model. For a choice at run time it is compiled once for each instruction set, with
// MODEL_KERNELS_ONLY, and once more without options for MODEL_ALL_SETS (see CMakeLists.txt).
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__FMA__)
#define MODEL_SET avx512
#define GATEWISE_VECTOR_BYTES 64
#define gatewise model_avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define MODEL_SET avx2
#define GATEWISE_VECTOR_BYTES 32
#define gatewise model_avx2
#else
#define MODEL_SET plain
#define GATEWISE_VECTOR_BYTES 16
#define gatewise model_plain
#endif
#if defined(__GNUC__) && !defined(MODEL_API)
#define MODEL_API __attribute__((visibility("default")))
#endif
#define GATEWISE_ABI 1
#define GATEWISE_EXPORT [[maybe_unused]] static

#include "model.h"

#define GATEWISE_INFERENCE model_number
#define GATEWISE_INFERENCE_PRECISION MODEL_PRECISION

#include "engine.cpp"

#include "cells.cpp"

#include "runtime/kernels.cpp"

#ifndef MODEL_KERNELS_ONLY
#include "runtime/api.cpp"
#endif
