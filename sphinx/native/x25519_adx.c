/* X25519 for x86 processors with MULX, ADCX and ADOX, and with AVX2, by which entries of tables are looked up: the
 * curve is curve_core.h's, the field field64.h's. engine.c calls it only where the processor has all of them. */
#include "cpu.h"

#ifdef KP_ADX

#define KP_TARGET
#define KP_LOOK_UP __attribute__((target("avx2")))
#define KP_MULTIPLY kp_multiply_adx
#define KP_MULTIPLY_BASE kp_multiply_base_adx
#define KP_MAKE_TABLE kp_make_table_adx
#define KP_MULTIPLY_BY_TABLE kp_multiply_by_table_adx
#include "field64.h"

#include "curve_core.h"

#else
typedef int kp_nothing_here;
#endif
