/* Compiles where NAME is one that a message has room for. */
#include "headwater.h"

hw_topic topic = HW_TOPIC(NAME);
