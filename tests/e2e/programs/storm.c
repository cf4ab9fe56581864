/* Starts COUNT short processes, AT_ONCE at a time, and waits for all: storm COUNT AT_ONCE PROGRAM... */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv) {
    int left = atoi(argv[1]), free_slots = atoi(argv[2]), running = 0, failed = 0, status;
    while (left || running) {
        if (left && free_slots) {
            pid_t child;
            if (posix_spawn(&child, argv[3], 0, 0, argv + 3, environ)) {
                perror("posix_spawn");
                return 1;
            }
            left--, free_slots--, running++;
            continue;
        }
        if (wait(&status) > 0) {
            running--, free_slots++;
            failed += status != 0;
        }
    }
    return failed != 0;
}
