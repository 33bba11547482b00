/* The library alone, all of it that is compiled in by default, with one client: what size.test.ts weighs. */
#define HEADWATER_IMPLEMENTATION
#include "headwater.h"

hw_client size_probe;
