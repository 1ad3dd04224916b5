// errors counts, for each file below a folder, the lines that have a word in
// them, and prints the files that have any.
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *word;
static long total;

static void count(const char *path) {
	FILE *f = fopen(path, "r");
	if (f == NULL) {
		perror(path);
		return;
	}
	char *line = NULL;
	size_t room = 0;
	long lines = 0;
	while (getline(&line, &room, f) >= 0)
		lines += strstr(line, word) != NULL;
	free(line);
	fclose(f);
	if (lines > 0)
		printf("%8ld  %s\n", lines, path);
	total += lines;
}

static void walk(const char *path) {
	struct stat st;
	if (lstat(path, &st) != 0) {
		perror(path);
		return;
	}
	if (S_ISREG(st.st_mode))
		count(path);
	DIR *d = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
	if (d == NULL)
		return;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		char *below;
		if (asprintf(&below, "%s/%s", path, e->d_name) < 0)
			exit(1);
		walk(below);
		free(below);
	}
	closedir(d);
}

int main(int argc, char **argv) {
	if (argc != 3) {
		fprintf(stderr, "usage: errors WORD FOLDER\n");
		return 2;
	}
	word = argv[1];
	walk(argv[2]);
	printf("%8ld  in all\n", total);
	return 0;
}
