// guest does what its arguments say, one after the other, so that the tests can
// have a job do anything:
//
//	print TEXT · warn TEXT · sleep MILLISECONDS · list DIR · cat FILE · write FILE TEXT · oddlink DIR · spin · exit CODE
//
// It is in C because that compiles in the node in milliseconds.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>

static char **arg;

static char *next(void) {
	if (*arg == NULL) {
		fprintf(stderr, "an argument is missing\n");
		exit(64);
	}
	return *arg++;
}

static void *check(void *p, const char *what) {
	if (p == NULL) {
		perror(what);
		exit(1);
	}
	return p;
}

static void list(const char *path) {
	DIR *d = check(opendir(path), path);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.')
			puts(e->d_name);
	closedir(d);
}

static void cat(const char *path) {
	FILE *f = check(fopen(path, "r"), path);
	char buf[4096];
	for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
		fwrite(buf, 1, n, stdout);
	fclose(f);
}

static void put(const char *path, const char *text) {
	FILE *f = check(fopen(path, "w"), path);
	if (fputs(text, f) < 0 || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

// libc's own sleep needs a library that Debian keeps in a package of its own.
static void rest(long ms) {
	__wasi_subscription_t s = {.u.tag = __WASI_EVENTTYPE_CLOCK,
		.u.u.clock = {.id = __WASI_CLOCKID_MONOTONIC, .timeout = ms * 1000000ULL}};
	__wasi_event_t e;
	__wasi_size_t n;
	if (__wasi_poll_oneoff(&s, &e, 1, &n) != 0)
		exit(1);
}

int main(int argc, char **argv) {
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	arg = argv + 1;
	while (*arg != NULL) {
		const char *verb = next();
		if (strcmp(verb, "print") == 0)
			puts(next());
		else if (strcmp(verb, "warn") == 0)
			fprintf(stderr, "%s\n", next());
		else if (strcmp(verb, "sleep") == 0)
			rest(atol(next()));
		else if (strcmp(verb, "list") == 0)
			list(next());
		else if (strcmp(verb, "cat") == 0)
			cat(next());
		else if (strcmp(verb, "write") == 0) {
			const char *path = next();
			put(path, next());
		} else if (strcmp(verb, "oddlink") == 0) { // its name is no UTF-8
			char path[256];
			snprintf(path, sizeof path, "%s/a\xff", next());
			if (symlink("x", path) != 0) {
				perror(path);
				exit(1);
			}
		} else if (strcmp(verb, "spin") == 0)
			for (volatile int i = 0;; i++)
				;
		else if (strcmp(verb, "exit") == 0)
			exit(atoi(next()));
		else {
			fprintf(stderr, "unknown verb %s\n", verb);
			exit(64);
		}
	}
	return 0;
}
