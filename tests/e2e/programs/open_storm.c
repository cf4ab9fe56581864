/* Opens a file so many times, from so many threads in turn: open_storm FILE COUNT THREADS */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *file;
static long each;

static void *storm(void *opened) {
    for (long i = 0; i < each; i++) {
        int fd = open(file, O_RDONLY);
        if (fd < 0)
            continue;
        ++*(long *)opened;
        close(fd);
    }
    return 0;
}

int main(int argc, char **argv) {
    pthread_t threads[64];
    long opened[64] = {0}, all = 0;
    int count = atoi(argv[3]);
    file = argv[1];
    each = atol(argv[2]) / count;
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], 0, storm, &opened[i]);
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], 0);
        all += opened[i];
    }
    printf("%ld\n", all);
    return 0;
}
