/* Overwrites KP_STACK bytes below its caller, for the reasons that stack.h gives. That is more than any call of the
 * engine goes down, which tests/sphinx/stack_left.c finds out for each; it must run on a stack that has as much
 * room. */
#include "stack.h"

#include <stddef.h>
#include <stdint.h>

#include "cpu.h"

/* Without memset: where that is called for the first time, what looks for it saves registers below what is cleared. */
__attribute__((noinline)) void kp_clear_stack(void)
{
    uint64_t below[KP_STACK / sizeof(uint64_t)];
#ifdef KP_X86_64
    uint64_t *at = below;
    size_t words = KP_STACK / sizeof *below;
    __asm__ __volatile__("rep stosq" : "+D"(at), "+c"(words) : "a"(UINT64_C(0)) : "memory");
#else
    volatile uint64_t *words = below;
    for (size_t k = 0; k < KP_STACK / sizeof *below; k++)
        words[k] = 0;
#endif
}
