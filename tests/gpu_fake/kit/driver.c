/* libcuda: the driver, as far as ONNX Runtime and onnxplain ask it. */
#include "device.h"

EXPORT int cuInit(unsigned flags) { return count_devices() ? SUCCESS : 100; }
EXPORT int cuDriverGetVersion(int *version) { *version = get_driver_version(); return SUCCESS; }
EXPORT int cuDeviceGetCount(int *count) { *count = count_devices(); return SUCCESS; }
EXPORT int cuDeviceGet(int *device, int index) {
  *device = index;
  return index < count_devices() ? SUCCESS : INVALID_DEVICE;
}
EXPORT int cuDeviceGetName(char *name, int length, int device) {
  snprintf(name, length, "%s", NAME);
  return SUCCESS;
}
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = get_attribute(attribute);
  return SUCCESS;
}
EXPORT int cuTensorMapEncodeTiled(void) { return SUCCESS; }
