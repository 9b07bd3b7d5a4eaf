// SPDX-License-Identifier: Apache-2.0
// What a CUDA program needs of its container, without CUDA's own libraries: finds the driver's library by its
// soname, lists the GPUs that it may use, and on the first doubles and increments a thousand numbers by a
// kernel in PTX, which the driver's compiler must translate. `gpu-probe SECONDS` goes on for so long.
//
// Prints "gpu UUID NAME" for each GPU and "kernel ok"; exit code 0, or 1 with a line that says what failed.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { kNumbers = 1000 };

// The driver API, as cuda.h declares it.
typedef int Result;
typedef unsigned long long Pointer;
typedef struct {
  unsigned char bytes[16];
} Uuid;

static const char kKernel[] =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry twice_plus_one(.param .u64 numbers, .param .u32 count) {\n"
    "  .reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %rd<5>;\n"
    "  ld.param.u64 %rd1, [numbers]; ld.param.u32 %r1, [count];\n"
    "  mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;\n"
    "  mad.lo.s32 %r5, %r2, %r3, %r4;\n"
    "  setp.ge.u32 %p1, %r5, %r1; @%p1 bra done;\n"
    "  cvta.to.global.u64 %rd2, %rd1; mul.wide.u32 %rd3, %r5, 4; add.s64 %rd4, %rd2, %rd3;\n"
    "  ld.global.u32 %r6, [%rd4]; mad.lo.s32 %r7, %r6, 2, 1; st.global.u32 [%rd4], %r7;\n"
    "done: ret;\n}\n";

static void* library;

#define CALL(name, types, ...)                                             \
  do {                                                                     \
    Result(*function) types = (Result(*) types)dlsym(library, name);       \
    Result result = function ? function(__VA_ARGS__) : -1;                 \
    if (result != 0) {                                                     \
      printf("%s: error %d\n", name, result);                              \
      return 1;                                                            \
    }                                                                      \
  } while (0)

static int ShowGpus(int count) {
  for (int i = 0; i < count; ++i) {
    int device = 0;
    char name[128] = "";
    Uuid uuid = {{0}};
    CALL("cuDeviceGet", (int*, int), &device, i);
    CALL("cuDeviceGetName", (char*, int, int), name, sizeof name, device);
    CALL("cuDeviceGetUuid", (Uuid*, int), &uuid, device);
    printf("gpu GPU-");
    for (int b = 0; b < 16; ++b)
      printf("%s%02x", b == 4 || b == 6 || b == 8 || b == 10 ? "-" : "", uuid.bytes[b]);
    printf(" %s\n", name);
  }
  return 0;
}

// Once, and again for so long.
static int Compute(int seconds) {
  int device = 0;
  unsigned count = kNumbers, numbers[kNumbers];
  void *context = 0, *module = 0, *kernel = 0;
  Pointer memory = 0;
  for (unsigned i = 0; i < count; ++i) numbers[i] = i;
  CALL("cuDeviceGet", (int*, int), &device, 0);
  CALL("cuCtxCreate_v2", (void**, unsigned, int), &context, 0u, device);
  CALL("cuModuleLoadData", (void**, const void*), &module, kKernel);
  CALL("cuModuleGetFunction", (void**, void*, const char*), &kernel, module, "twice_plus_one");
  CALL("cuMemAlloc_v2", (Pointer*, unsigned long), &memory, sizeof numbers);
  void* arguments[] = {&memory, &count};
  time_t until = time(NULL) + seconds;
  do {
    CALL("cuMemcpyHtoD_v2", (Pointer, const void*, unsigned long), memory, numbers, sizeof numbers);
    CALL("cuLaunchKernel",
         (void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**), kernel,
         (count + 127) / 128, 1u, 1u, 128u, 1u, 1u, 0u, (void*)0, arguments, (void**)0);
    CALL("cuCtxSynchronize", (void), );
  } while (time(NULL) < until);
  CALL("cuMemcpyDtoH_v2", (void*, Pointer, unsigned long), numbers, memory, sizeof numbers);
  for (unsigned i = 0; i < count; ++i) {
    if (numbers[i] == 2 * i + 1) continue;
    printf("kernel: number %u became %u\n", i, numbers[i]);
    return 1;
  }
  printf("kernel ok\n");
  return 0;
}

int main(int argc, char** argv) {
  int count = 0;
  library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) {
    printf("no driver: %s\n", dlerror());
    return 1;
  }
  CALL("cuInit", (unsigned), 0u);
  CALL("cuDeviceGetCount", (int*), &count);
  return ShowGpus(count) || Compute(argc > 1 ? atoi(argv[1]) : 0);
}
