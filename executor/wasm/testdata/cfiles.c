// Does with files what C programs do, in /out, and reads /in. Prints one line
// per step that went wrong, and "all well" otherwise.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// Of the compiler's run-time library the C library needs this alone, to sleep;
// with it here, tests need no package more. Its factors are small there.
__int128 __muloti4(__int128 a, __int128 b, int *overflow) {
  *overflow = 0;
  return (long long)a * (long long)b;
}

static int wrong;
#define WANT(what)                                                   \
  do {                                                               \
    errno = 0;                                                       \
    if (!(what)) {                                                   \
      printf("line %d: %s (errno %d)\n", __LINE__, #what, errno);    \
      wrong = 1;                                                     \
    }                                                                \
  } while (0)

static int count(const char *path) {
  DIR *d = opendir(path);
  if (!d) return -1;
  int n = 0;
  for (struct dirent *e; (e = readdir(d));) {
    if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) n++;
  }
  closedir(d);
  return n;
}

int main(int argc, char **argv) {
  struct stat st;
  char buf[64];

  WANT(argc == 3 && !strcmp(argv[1], "one") && !strcmp(argv[2], "two words"));
  WANT(getenv("NAME") && !strcmp(getenv("NAME"), "value"));
  WANT(read(0, buf, sizeof buf) == 0);

  FILE *f = fopen("/in/file", "r");
  WANT(f && fgets(buf, sizeof buf, f) && !strcmp(buf, "input\n"));
  if (f) fclose(f);
  WANT(open("/in/file", O_RDWR) < 0 && errno == EROFS);
  WANT(open("/in/new", O_WRONLY | O_CREAT, 0666) < 0 && errno == EROFS);
  WANT(unlink("/in/file") < 0 && errno == EROFS);
  WANT(mkdir("/new", 0777) < 0 && errno == EROFS);
  WANT(mkdir("/out", 0777) < 0 && errno == EEXIST);
  WANT(open("/none", O_RDONLY) < 0 && errno == ENOENT);
  WANT(open("/out/none/x", O_WRONLY | O_CREAT, 0666) < 0 && errno == ENOENT);
  WANT(count("/") == 2);
  WANT(stat("/", &st) == 0 && S_ISDIR(st.st_mode));

  WANT(mkdir("/out/d", 0777) == 0);
  WANT(mkdir("/out/d/e", 0777) == 0);
  int fd = open("/out/d/f", O_RDWR | O_CREAT | O_EXCL, 0666);
  WANT(fd >= 0);
  WANT(write(fd, "0123456789", 10) == 10);
  WANT(lseek(fd, 3, SEEK_SET) == 3 && read(fd, buf, 4) == 4 && !memcmp(buf, "3456", 4));
  WANT(lseek(fd, -1, SEEK_END) == 9 && lseek(fd, 0, SEEK_CUR) == 9);
  WANT(pread(fd, buf, 2, 1) == 2 && !memcmp(buf, "12", 2));
  WANT(pwrite(fd, "ab", 2, 0) == 2);
  WANT(ftruncate(fd, 8) == 0 && fstat(fd, &st) == 0 && st.st_size == 8);
  WANT(fsync(fd) == 0 && close(fd) == 0);
  WANT(close(fd) < 0 && errno == EBADF);
  WANT(open("/out/d/f", O_WRONLY | O_CREAT | O_EXCL, 0666) < 0 && errno == EEXIST);
  WANT(open("/out/d", O_WRONLY) < 0 && errno == EISDIR);
  WANT(open("/out/d/f/x", O_RDONLY) < 0 && errno == ENOTDIR);

  fd = open("/out/d/f", O_WRONLY | O_APPEND);
  WANT(fd >= 0 && write(fd, "+", 1) == 1 && close(fd) == 0);
  WANT(stat("/out/d/f", &st) == 0 && st.st_size == 9 && S_ISREG(st.st_mode));
  WANT(count("/out/d") == 2);
  WANT(rename("/out/d/f", "/out/d/g") == 0 && stat("/out/d/f", &st) < 0 && errno == ENOENT);
  WANT(rename("/out/d/e", "/out/e") == 0);
  WANT(rename("/in/file", "/out/file") < 0 && errno == EROFS);
  WANT(link("/out/d/g", "/out/d/h") == 0 && stat("/out/d/h", &st) == 0 && st.st_nlink == 2);
  WANT(symlink("g", "/out/d/l") == 0 && readlink("/out/d/l", buf, sizeof buf) == 1 && buf[0] == 'g');
  WANT(lstat("/out/d/l", &st) == 0 && S_ISLNK(st.st_mode) && stat("/out/d/l", &st) == 0 && S_ISREG(st.st_mode));
  WANT(rmdir("/out/d") < 0 && errno == ENOTEMPTY);
  WANT(rmdir("/out/d/g") < 0 && errno == ENOTDIR);
  WANT(unlink("/out/e") < 0 && errno == EISDIR);
  WANT(unlink("/out/d/l") == 0 && unlink("/out/d/h") == 0 && unlink("/out/d/g") == 0);
  WANT(rmdir("/out/d") == 0 && rmdir("/out/e") == 0);
  WANT(count("/out") == 0);
  WANT(rmdir("/out") < 0 && errno == EBUSY);

  struct timespec a, b, nap = {0, 20000000}, when[2] = {{1000000000, 5}, {1100000000, 7}};
  WANT(clock_gettime(CLOCK_MONOTONIC, &a) == 0 && nanosleep(&nap, NULL) == 0 && clock_gettime(CLOCK_MONOTONIC, &b) == 0);
  WANT((b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec >= 20000000);
  WANT(clock_gettime(CLOCK_REALTIME, &a) == 0 && a.tv_sec > 1600000000);
  WANT(getentropy(buf, 32) == 0);
  f = fopen("/out/t", "w");
  WANT(f && fputs("x", f) >= 0 && fclose(f) == 0);
  WANT(utimensat(AT_FDCWD, "/out/t", when, 0) == 0 && stat("/out/t", &st) == 0);
  WANT(st.st_mtim.tv_sec == 1100000000 && st.st_mtim.tv_nsec == 7 && st.st_atim.tv_sec == 1000000000);
  WANT(utimensat(AT_FDCWD, "/in/file", when, 0) < 0 && errno == EROFS);
  WANT(chdir("/out") == 0 && (fd = open("t", O_RDONLY)) >= 0 && close(fd) == 0);

  if (!wrong) printf("all well\n");
  return wrong;
}
