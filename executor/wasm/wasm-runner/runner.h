#include <stddef.h>
#include <stdint.h>

// What the Go side needs of Wasmer. Nothing is ever released: the process lives
// for one program. A failure is answered with a message, malloc'ed.

char *runner_version(void);

// Compiles a module into its serialized form, which stays at *out.
char *runner_compile(const void *wasm, size_t size, void **out, size_t *out_size);

enum { RUNNER_OK, RUNNER_REFUSED, RUNNER_TRAPPED };

// Runs a serialized module; it calls back into runnerFind, runnerFits and
// runnerCall on the Go side.
int runner_run(const void *code, size_t size, char **message);
