/* For each line "CALL COUNT" on standard input: makes the call so often, then prints how much
 * processor time it took, in nanoseconds each: file_calls FILE. Calls: open (and close), missing
 * (an open that fails), unlink (one that fails), getppid, read (4 KiB of the file, from its
 * beginning). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char buffer[4096];

static void make(const char *call, const char *file, int opened) {
    if (!strcmp(call, "open"))
        close(open(file, O_RDONLY));
    else if (!strcmp(call, "missing"))
        open("/nowhere/to/be/found", O_RDONLY);
    else if (!strcmp(call, "unlink"))
        unlink("/nowhere/to/be/found");
    else if (!strcmp(call, "read"))
        pread(opened, buffer, sizeof buffer, 0);
    else
        syscall(SYS_getppid);
}

int main(int argc, char **argv) {
    char call[16];
    long count;
    int opened = open(argv[1], O_RDONLY);
    while (scanf("%15s %ld", call, &count) == 2) {
        struct timespec from, to;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
        for (long i = 0; i < count; i++)
            make(call, argv[1], opened);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
        printf("%.1f\n", ((to.tv_sec - from.tv_sec) * 1e9 + to.tv_nsec - from.tv_nsec) / count);
        fflush(stdout);
    }
    return 0;
}
