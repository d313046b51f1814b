/* X25519 for x86 processors with MULX, ADCX and ADOX, and AVX2 to look entries of tables up. */
#include "cpu.h"

#ifdef KP_ADX

#define KP_TARGET __attribute__((target("avx2")))
#define KP_MULTIPLY kp_multiply_adx
#define KP_MULTIPLY_BASE kp_multiply_base_adx
#define KP_MAKE_TABLE kp_make_table_adx
#define KP_MULTIPLY_BY_TABLE kp_multiply_by_table_adx
#include "field64.h"

#include "curve_core.h"

#else
typedef int kp_nothing_here;
#endif
