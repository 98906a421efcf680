/* The graph interface of libcudnn: every graph has one plan, which needs no workspace. */
#include <stdint.h>
#include "device.h"

enum { EXECUTION_PLAN = 5 };
enum { TYPE_INT64 = 3, TYPE_NUMERICAL_NOTE = 11, TYPE_BEHAVIOR_NOTE = 19, TYPE_INT32 = 23 };

static long long n_plans;

EXPORT long long fake_count_plans(void) { return n_plans; }
EXPORT size_t cudnnGetVersion(void) { return 92800; }
EXPORT int cudnnBackendCreateDescriptor(int type, void **descriptor) {
  *descriptor = calloc(1, 64);
  *(int *)*descriptor = type;
  return SUCCESS;
}
EXPORT int cudnnBackendDestroyDescriptor(void *descriptor) { free(descriptor); return SUCCESS; }
EXPORT int cudnnBackendFinalize(void *descriptor) {
  n_plans += *(int *)descriptor == EXECUTION_PLAN;
  return SUCCESS;
}
EXPORT int cudnnBackendExecute(void *handle, void *plan, void *pack) { return SUCCESS; }
EXPORT int cudnnBackendSetAttribute(void *descriptor, int name, int type, int64_t n, const void *values) { return SUCCESS; }
EXPORT int cudnnBackendGetAttribute(void *descriptor, int name, int type, int64_t asked, int64_t *n, void *values) {
  int is_note = type == TYPE_NUMERICAL_NOTE || type == TYPE_BEHAVIOR_NOTE;
  if (n) *n = is_note ? 0 : 1;
  if (values && asked > 0 && type == TYPE_INT64) *(int64_t *)values = 0;
  if (values && asked > 0 && type == TYPE_INT32) *(int32_t *)values = 0;
  return SUCCESS;
}
