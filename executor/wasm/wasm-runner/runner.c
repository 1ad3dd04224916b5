//go:build wasmer

#define _GNU_SOURCE
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wasm.h>
#include <wasmer.h>

// On the Go side.
extern int32_t runnerFind(char *module, size_t module_size, char *name, size_t name_size);
extern int runnerFits(int32_t function, char *params, size_t count, int results);
extern uint32_t runnerCall(int32_t function, void *memory, size_t memory_size, uint64_t *args, size_t count);

static wasm_memory_t *memory; // the program's, once there is one

static char *last_error(const char *fallback) {
  int n = wasmer_last_error_length();
  if (n <= 0) return strdup(fallback);
  char *text = calloc(1, n + 1);
  wasmer_last_error_message(text, n);
  return text;
}

static wasm_store_t *new_store(void) {
  wasm_config_t *config = wasm_config_new();
  wasm_config_set_compiler(config, CRANELIFT);
  wasm_config_set_engine(config, UNIVERSAL);
  wasm_engine_t *engine = wasm_engine_new_with_config(config);
  return engine ? wasm_store_new(engine) : NULL;
}

char *runner_version(void) {
  char text[32];
  snprintf(text, sizeof text, "%d.%d.%d", wasmer_version_major(), wasmer_version_minor(), wasmer_version_patch());
  return strdup(text);
}

char *runner_compile(const void *wasm, size_t size, void **out, size_t *out_size) {
  wasm_store_t *store = new_store();
  if (!store) return last_error("no engine");
  wasm_byte_vec_t bytes = {size, (char *)wasm}, code = {0, NULL};
  wasm_module_t *module = wasm_module_new(store, &bytes);
  if (!module) return last_error("the module is invalid");
  wasm_module_serialize(module, &code);
  if (!code.data) return last_error("the compiled module cannot be serialized");
  *out = code.data;
  *out_size = code.size;
  return NULL;
}

// Every imported function. Wasmer 2.0.0 allocates the vectors of arguments and
// results anew for each call and forgets them, 112 bytes a call, which would
// end a busy program at its memory limit. So both are freed here, and the
// result comes from a place that nobody frees.
static wasm_trap_t *trampoline(void *env, const wasm_val_vec_t *args, wasm_val_vec_t *results) {
  uint64_t list[16];
  size_t count = args->size < 16 ? args->size : 16;
  for (size_t i = 0; i < count; i++) {
    list[i] = args->data[i].kind == WASM_I64 ? (uint64_t)args->data[i].of.i64 : (uint32_t)args->data[i].of.i32;
  }
  if (args->size) free(args->data);
  void *data = memory ? wasm_memory_data(memory) : NULL;
  size_t size = memory ? wasm_memory_data_size(memory) : 0;
  uint32_t errno_ = runnerCall((int32_t)(intptr_t)env, data, size, list, count);
  if (results->size) {
    static wasm_val_t result;
    free(results->data);
    result.kind = WASM_I32;
    result.of.i32 = (int32_t)errno_;
    results->data = &result;
  }
  return NULL;
}

// One extern for each import, in their order.
static char *imports(wasm_store_t *store, wasm_module_t *module, wasm_extern_vec_t *out) {
  wasm_importtype_vec_t types;
  wasm_module_imports(module, &types);
  wasm_extern_vec_new_uninitialized(out, types.size);
  for (size_t i = 0; i < types.size; i++) {
    const wasm_name_t *from = wasm_importtype_module(types.data[i]), *name = wasm_importtype_name(types.data[i]);
    const wasm_externtype_t *type = wasm_importtype_type(types.data[i]);
    int32_t function = -1;
    if (wasm_externtype_kind(type) == WASM_EXTERN_FUNC) {
      function = runnerFind(from->data, from->size, name->data, name->size);
    }
    if (function < 0) return strdup("an import that is not provided");
    const wasm_functype_t *signature = wasm_externtype_as_functype_const(type);
    char params[16];
    const wasm_valtype_vec_t *in = wasm_functype_params(signature), *res = wasm_functype_results(signature);
    if (in->size > sizeof params) return strdup("an import with too many parameters");
    for (size_t k = 0; k < in->size; k++) {
      wasm_valkind_t kind = wasm_valtype_kind(in->data[k]);
      params[k] = kind == WASM_I32 ? 'i' : kind == WASM_I64 ? 'I' : '?';
    }
    int result = res->size == 0 ? 0 : res->size == 1 && wasm_valtype_kind(res->data[0]) == WASM_I32 ? 1 : -1;
    if (!runnerFits(function, params, in->size, result)) {
      char *text = NULL;
      if (asprintf(&text, "its import %.*s has the wrong type", (int)name->size, name->data) < 0) return strdup("out of memory");
      return text;
    }
    wasm_func_t *f = wasm_func_new_with_env(store, signature, trampoline, (void *)(intptr_t)function, NULL);
    out->data[i] = wasm_func_as_extern(f);
  }
  return NULL;
}

static int trapped(const wasm_trap_t *trap, char **message) {
  wasm_byte_vec_t text = {0, NULL};
  wasm_trap_message(trap, &text);
  *message = text.data ? strndup(text.data, text.size) : strdup("unknown");
  return RUNNER_TRAPPED;
}

// Points memory at the export of that name and answers with _start.
static wasm_func_t *exports(wasm_module_t *module, wasm_instance_t *instance) {
  wasm_exporttype_vec_t types;
  wasm_extern_vec_t things;
  wasm_func_t *start = NULL;
  wasm_module_exports(module, &types);
  wasm_instance_exports(instance, &things);
  for (size_t i = 0; i < types.size && i < things.size; i++) {
    const wasm_name_t *name = wasm_exporttype_name(types.data[i]);
    if (name->size == 6 && !memcmp(name->data, "memory", 6)) memory = wasm_extern_as_memory(things.data[i]);
    if (name->size == 6 && !memcmp(name->data, "_start", 6)) start = wasm_extern_as_func(things.data[i]);
  }
  return start;
}

int runner_run(const void *code, size_t size, char **message) {
  wasm_store_t *store = new_store();
  wasm_byte_vec_t bytes = {size, (char *)code};
  wasm_module_t *module = store ? wasm_module_deserialize(store, &bytes) : NULL;
  if (!module) {
    *message = last_error("the compiled code cannot be loaded");
    return RUNNER_REFUSED;
  }
  wasm_extern_vec_t externs;
  if ((*message = imports(store, module, &externs))) return RUNNER_REFUSED;
  wasm_trap_t *trap = NULL;
  wasm_instance_t *instance = wasm_instance_new(store, module, &externs, &trap);
  if (trap) return trapped(trap, message);
  if (!instance) {
    *message = last_error("the module cannot be started");
    return RUNNER_REFUSED;
  }
  wasm_func_t *start = exports(module, instance);
  if (!start || wasm_func_param_arity(start) || wasm_func_result_arity(start)) {
    *message = strdup("its _start is no function without parameters and results");
    return RUNNER_REFUSED;
  }
  wasm_val_vec_t none = WASM_EMPTY_VEC, nothing = WASM_EMPTY_VEC;
  trap = wasm_func_call(start, &none, &nothing);
  return trap ? trapped(trap, message) : RUNNER_OK;
}
