/* libcudart: device memory is host memory, copies copy and are counted, kernels do nothing.

   Types are declared by their layout in CUDA 13, so that no header of NVIDIA is needed. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include "device.h"

typedef unsigned long long u64;
typedef struct { unsigned x, y, z; } dim3;

/* ---- counting, for the tests ---- */

static struct {
  long long launches, uploads, upload_bytes, downloads, download_bytes, syncs, mallocs, live_bytes;
} counts;
static long long limit = -1;      /* bytes of device memory; -1: no limit */
static int launch_error = SUCCESS; /* what every launch answers */
static __thread int last_error = SUCCESS;

EXPORT void fake_read_counts(long long *out) { memcpy(out, &counts, sizeof counts); }
EXPORT void fake_limit_memory(long long bytes) { limit = bytes; }
EXPORT void fake_fail_launches(int error) { launch_error = error; }

static int remember(int error) { return error ? (last_error = error) : SUCCESS; }

/* ---- memory ---- */

#define MOST 65536
static struct { char *start; size_t size; } blocks[MOST];
static int n_blocks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int is_on_device(const void *pointer) {
  int found = 0;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < n_blocks && !found; i++)
    found = blocks[i].start && (char *)pointer >= blocks[i].start &&
            (char *)pointer < blocks[i].start + blocks[i].size;
  pthread_mutex_unlock(&lock);
  return found;
}

EXPORT int cudaMalloc(void **pointer, size_t size) {
  int i = 0;
  *pointer = NULL;
  pthread_mutex_lock(&lock);
  if (limit < 0 || counts.live_bytes + (long long)size <= limit) *pointer = aligned_alloc(512, (size + 512) / 512 * 512);
  if (*pointer) {
    memset(*pointer, 0, size);
    while (i < n_blocks && blocks[i].start) i++;
    if (i == MOST) abort();
    if (i == n_blocks) n_blocks++;
    blocks[i].start = *pointer;
    blocks[i].size = size;
    counts.live_bytes += size;
    counts.mallocs++;
  }
  pthread_mutex_unlock(&lock);
  return remember(*pointer ? SUCCESS : OUT_OF_MEMORY);
}
EXPORT int cudaFree(void *pointer) {
  pthread_mutex_lock(&lock);
  for (int i = 0; pointer && i < n_blocks; i++)
    if (blocks[i].start == pointer) {
      blocks[i].start = NULL;
      counts.live_bytes -= blocks[i].size;
    }
  pthread_mutex_unlock(&lock);
  free(pointer);
  return SUCCESS;
}
EXPORT int cudaFreeAsync(void *pointer, void *stream) { return cudaFree(pointer); }
EXPORT int cudaMallocFromPoolAsync(void **pointer, size_t size, void *pool, void *stream) { return cudaMalloc(pointer, size); }
EXPORT int cudaMallocHost(void **pointer, size_t size) {
  return posix_memalign(pointer, 512, size + 1) ? OUT_OF_MEMORY : SUCCESS;
}
EXPORT int cudaHostAlloc(void **pointer, size_t size, unsigned flags) { return cudaMallocHost(pointer, size); }
EXPORT int cudaFreeHost(void *pointer) { free(pointer); return SUCCESS; }
EXPORT int cudaMemGetInfo(size_t *available, size_t *total) {
  *total = limit < 0 ? MEMORY : (size_t)limit;
  *available = *total - counts.live_bytes;
  return SUCCESS;
}
struct pointer_attributes { int type, device; void *on_device, *on_host; long reserved[8]; };
EXPORT int cudaPointerGetAttributes(struct pointer_attributes *attributes, const void *pointer) {
  memset(attributes, 0, sizeof *attributes);
  attributes->type = is_on_device(pointer) ? 2 : 0; /* device, or not registered */
  return SUCCESS;
}

/* ---- copies ---- */

static int copy(void *to, const void *from, size_t size) {
  int up = is_on_device(to), down = is_on_device(from);
  if (up && !down) counts.uploads++, counts.upload_bytes += size;
  if (down && !up) counts.downloads++, counts.download_bytes += size;
  memcpy(to, from, size);
  return SUCCESS;
}
EXPORT int cudaMemcpy(void *to, const void *from, size_t size, int kind) {
  counts.syncs++;
  return copy(to, from, size);
}
EXPORT int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) { return copy(to, from, size); }
EXPORT int cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height, int kind, void *stream) {
  for (size_t row = 0; row < height; row++) memcpy((char *)to + row * to_pitch, (char *)from + row * from_pitch, width);
  return SUCCESS;
}
EXPORT int cudaMemcpyFromSymbol(void *to, const void *symbol, size_t size, size_t offset, int kind) {
  memset(to, 0, size);
  return SUCCESS;
}
EXPORT int cudaMemset(void *pointer, int value, size_t size) { memset(pointer, value, size); return SUCCESS; }
EXPORT int cudaMemsetAsync(void *pointer, int value, size_t size, void *stream) { return cudaMemset(pointer, value, size); }
EXPORT int cudaDeviceSynchronize(void) { counts.syncs++; return SUCCESS; }
EXPORT int cudaStreamSynchronize(void *stream) { counts.syncs++; return SUCCESS; }

/* ---- kernels ---- */

static int launch(void) {
  counts.launches++;
  return remember(launch_error);
}
EXPORT int cudaLaunchKernel(const void *f, dim3 grid, dim3 block, void **arguments, size_t shared, void *stream) { return launch(); }
EXPORT int __cudaLaunchKernel(void *f, dim3 grid, dim3 block, void **arguments, size_t shared, void *stream) { return launch(); }
EXPORT int cudaLaunchKernelExC(const void *config, const void *f, void **arguments) { return launch(); }
EXPORT int cudaLaunchCooperativeKernel(const void *f, dim3 grid, dim3 block, void **arguments, size_t shared, void *stream) { return launch(); }
EXPORT int __cudaGetKernel(void **kernel, const void *f) { *kernel = (void *)f; return SUCCESS; }
EXPORT unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void *stream) { return 0; }
EXPORT int __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
  *grid = *block = (dim3){1, 1, 1};
  *shared = 0;
  *(void **)stream = NULL;
  return SUCCESS;
}
EXPORT void **__cudaRegisterFatBinary(void *binary) { static void *handle[16]; return handle; }
struct function_attributes { size_t shared, constant, local; int threads, registers, ptx, binary, more[26]; };
EXPORT int cudaFuncGetAttributes(struct function_attributes *attributes, const void *f) {
  memset(attributes, 0, sizeof *attributes);
  attributes->threads = 1024;
  attributes->registers = 32;
  attributes->ptx = attributes->binary = get_capability();
  return SUCCESS;
}
EXPORT int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *f, int size, size_t shared, unsigned flags) {
  *blocks = 2;
  return SUCCESS;
}

/* ---- the device ---- */

struct properties { /* cudaDeviceProp of CUDA 13: the fields that are read, and the room between */
  char name[256], ids[28];
  size_t memory, shared_per_block;
  int registers_per_block, warp;
  size_t pitch;
  int block_threads, block_sides[3], grid_sides[3];
  size_t constants;
  int major, minor;
  size_t alignments[2];
  int multiprocessors, rest[155];
};
_Static_assert(sizeof(struct properties) == 1008, "as long as CUDA's own");
EXPORT int cudaGetDeviceProperties(struct properties *p, int device) {
  memset(p, 0, sizeof *p);
  strcpy(p->name, NAME);
  p->memory = MEMORY;
  p->shared_per_block = 49152;
  p->registers_per_block = 65536;
  p->warp = 32;
  p->block_threads = p->block_sides[0] = p->block_sides[1] = 1024;
  p->block_sides[2] = 64;
  p->grid_sides[0] = 2147483647;
  p->grid_sides[1] = p->grid_sides[2] = 65535;
  p->constants = 65536;
  p->major = get_attribute(75);
  p->minor = get_attribute(76);
  p->multiprocessors = get_attribute(16);
  return SUCCESS;
}
EXPORT int cudaDeviceGetAttribute(int *value, int attribute, int device) { *value = get_attribute(attribute); return SUCCESS; }
EXPORT int cudaGetDeviceCount(int *count) { *count = count_devices(); return SUCCESS; }
EXPORT int cudaGetDevice(int *device) { *device = 0; return SUCCESS; }
EXPORT int cudaSetDevice(int device) { return device < count_devices() ? SUCCESS : INVALID_DEVICE; }
EXPORT int cudaDriverGetVersion(int *version) { *version = get_driver_version(); return SUCCESS; }
EXPORT int cudaRuntimeGetVersion(int *version) { *version = 13000; return SUCCESS; }

/* ---- errors ---- */

EXPORT int cudaGetLastError(void) {
  int error = last_error;
  last_error = SUCCESS;
  return error;
}
EXPORT int cudaPeekAtLastError(void) { return last_error; }
EXPORT const char *cudaGetErrorString(int error) {
  switch (error) {
    case OUT_OF_MEMORY: return "out of memory";
    case 35: return "CUDA driver version is insufficient for CUDA runtime version";
    case INVALID_DEVICE: return "invalid device ordinal";
    case 209: return "no kernel image is available for execution on the device";
    case 700: return "an illegal memory access was encountered";
    default: return "an error of the fake device";
  }
}
EXPORT const char *cudaGetErrorName(int error) {
  switch (error) {
    case OUT_OF_MEMORY: return "cudaErrorMemoryAllocation";
    case 35: return "cudaErrorInsufficientDriver";
    case INVALID_DEVICE: return "cudaErrorInvalidDevice";
    case 209: return "cudaErrorNoKernelImageForDevice";
    case 700: return "cudaErrorIllegalAddress";
    default: return "cudaErrorUnknown";
  }
}

/* ---- handles ---- */

static int make(void **handle) { *handle = calloc(1, 64); return SUCCESS; }
EXPORT int cudaStreamCreate(void **stream) { return make(stream); }
EXPORT int cudaStreamCreateWithFlags(void **stream, unsigned flags) { return make(stream); }
EXPORT int cudaEventCreate(void **event) { return make(event); }
EXPORT int cudaEventCreateWithFlags(void **event, unsigned flags) { return make(event); }
EXPORT int cudaMemPoolCreate(void **pool, const void *properties) { return make(pool); }
EXPORT int cudaEventElapsedTime(float *ms, void *start, void *stop) { *ms = 1; return SUCCESS; }
EXPORT int cudaMemPoolGetAttribute(void *pool, int attribute, void *value) { *(u64 *)value = 0; return SUCCESS; }
EXPORT int cudaStreamIsCapturing(void *stream, int *status) { *status = 0; return SUCCESS; }
EXPORT int cudaLaunchHostFunc(void *stream, void (*f)(void *), void *argument) { f(argument); return SUCCESS; }
