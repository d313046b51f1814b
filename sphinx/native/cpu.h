/* What the processor can do. */
#ifndef KP_CPU_H
#define KP_CPU_H

#if defined(__x86_64__) && defined(__GNUC__)
#define KP_X86_64
#ifdef __OPTIMIZE__ /* else compilers want registers for themselves that the assembly needs */
#define KP_ADX
#endif
#endif

typedef struct {
    int aes;  /* AES rounds, with SSE 4.1 */
    int sha;  /* SHA-256 rounds, with SSE 4.1 */
    int adx;  /* MULX, ADCX and ADOX */
    int avx2; /* vectors of 256 bits, which the operating system keeps */
} kp_cpu;

kp_cpu kp_cpu_features(void);

#endif
