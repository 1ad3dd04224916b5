/* The smallest job that does something: it says who it greets. `make bench`
 * uses it to see what everything around a program costs. */
#include <stdio.h>

int main(int argc, char **argv)
{
	printf("hello, %s\n", argc > 1 ? argv[1] : "mesh");
	return 0;
}
