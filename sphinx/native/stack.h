/* What a call leaves on the stack is cleared at the end of each function that Python calls.
 *
 * Keys, and what is made from them, lie in the frames of many functions: in their variables, and wherever the compiler put
 * what it had no register for. So no function clears its own; each that is called from outside has its work done by an
 * inner one (KP_INNER), whose frame lies below its own, and then overwrites everything below. What is left in registers
 * stays there. tests/sphinx/stack_left.c looks. */
#ifndef KP_STACK_H
#define KP_STACK_H

/* More than any call here takes: what header.c keeps for twenty hops is most of it. */
#define KP_STACK 49152

#define KP_INNER static __attribute__((noinline))

/* Overwrite the stack below the caller's frame with zeros. */
void kp_clear_stack(void);

#endif
