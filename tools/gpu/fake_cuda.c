// SPDX-License-Identifier: Apache-2.0
// A library with the face of NVIDIA's driver, for trying tools/gpu-check where there is no GPU: its GPUs are
// the files /dev/nvidiaN, and its one kernel runs here. It shows that a container got the files, never that
// CUDA works.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  unsigned char bytes[16];
} Uuid;

// The minor number of the device at this place, or -1.
static int MinorAt(int place) {
  for (int minor = 0; minor < 16; ++minor) {
    char path[32];
    snprintf(path, sizeof path, "/dev/nvidia%d", minor);
    if (access(path, R_OK) == 0 && place-- == 0) return minor;
  }
  return -1;
}

int cuInit(unsigned flags) { return flags != 0 || access("/dev/nvidiactl", R_OK) != 0 ? 100 : 0; }
int cuDeviceGetCount(int* count) {
  for (*count = 0; MinorAt(*count) >= 0;) ++*count;
  return 0;
}
int cuDeviceGet(int* device, int place) {
  *device = MinorAt(place);
  return *device < 0 ? 101 : 0;
}
int cuDeviceGetName(char* name, int size, int device) {
  snprintf(name, (size_t)size, "Fake GPU of minor %d", device);
  return 0;
}
int cuDeviceGetUuid(Uuid* uuid, int device) {
  memset(uuid, 0, sizeof *uuid);
  uuid->bytes[15] = (unsigned char)(device + 1);
  return 0;
}
int cuCtxCreate_v2(void** context, unsigned flags, int device) {
  *context = context;
  return flags != 0 || device < 0;
}
int cuModuleLoadData(void** module, const void* text) {
  *module = module;
  return strstr(text, "twice_plus_one") == NULL;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  *function = module;
  return name == NULL;
}
int cuMemAlloc_v2(unsigned long long* memory, unsigned long size) {
  *memory = (unsigned long long)(size_t)malloc(size);
  return *memory == 0;
}
int cuMemcpyHtoD_v2(unsigned long long to, const void* from, unsigned long size) {
  memcpy((void*)(size_t)to, from, size);
  return 0;
}
int cuMemcpyDtoH_v2(void* to, unsigned long long from, unsigned long size) {
  memcpy(to, (void*)(size_t)from, size);
  return 0;
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** arguments, void** extra) {
  (void)function, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared, (void)stream, (void)extra;
  unsigned* numbers = (unsigned*)(size_t) * (unsigned long long*)arguments[0];
  for (unsigned i = 0; i < *(unsigned*)arguments[1]; ++i) numbers[i] = 2 * numbers[i] + 1;
  return 0;
}
int cuCtxSynchronize(void) { return 0; }
