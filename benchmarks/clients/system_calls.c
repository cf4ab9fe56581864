/* System calls that carry no traffic: system_calls getppid|read FILE. For each line of input, a
 * number, it makes so many (reads of 4 KiB from the begin of the file) and prints the nanoseconds
 * they took. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int count, char **words) {
    char line[32], data[4096];
    if (count != 3)
        return 2;
    int reads = !strcmp(words[1], "read"), file = open(words[2], O_RDONLY);
    if (file < 0)
        return 2;
    while (fgets(line, sizeof line, stdin)) {
        long long began = now_ns();
        for (int turn = atoi(line); turn > 0; turn--) {
            if (!reads)
                syscall(SYS_getppid);
            else if (lseek(file, 0, SEEK_SET) || read(file, data, sizeof data) <= 0)
                return 1;
        }
        printf("%lld\n", now_ns() - began);
        fflush(stdout);
    }
    return 0;
}
