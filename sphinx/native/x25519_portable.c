/* X25519 for any 64-bit processor whose compiler has integers of 128 bits: the curve is curve_core.h's, the field
 * field51.h's. */
#define KP_TARGET
#define KP_LOOK_UP inline
#define KP_MULTIPLY kp_multiply_portable
#define KP_MULTIPLY_BASE kp_multiply_base_portable
#define KP_MAKE_TABLE kp_make_table_portable
#define KP_MULTIPLY_BY_TABLE kp_multiply_by_table_portable
#include "field51.h"

#include "curve_core.h"
