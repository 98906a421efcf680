/* What the fake device says of itself; the environment can change it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define NAME "Fake GPU"
#define MEMORY (80ull << 30)

enum { SUCCESS = 0, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101 };

static int read_number(const char *name, int usual) {
  const char *text = getenv(name);
  return text ? atoi(text) : usual;
}
static int count_devices(void) { return read_number("FAKE_CUDA_DEVICES", 1); }
static int get_driver_version(void) { return read_number("FAKE_CUDA_DRIVER", 13010); }
static int get_capability(void) { return read_number("FAKE_CUDA_CAPABILITY", 90); } /* 90 is sm_90 */

/* Numbers of a Hopper by the attribute's number, the same for driver and runtime. */
static int get_attribute(int attribute) {
  switch (attribute) {
    case 1: return 1024;    /* threads of a block */
    case 8: return 49152;   /* shared memory of a block */
    case 10: return 32;     /* threads of a warp */
    case 16: return 132;    /* multiprocessors */
    case 75: return get_capability() / 10;
    case 76: return get_capability() % 10;
    case 81: return 233472; /* shared memory of a multiprocessor */
    case 97: return 232448; /* shared memory of a block that asks for more */
    default: return 1;
  }
}
