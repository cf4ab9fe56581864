/* Starts processes and threads in every way, in new namespaces and in those that it has. Prints a
 * line a start that is to be told: pid, tid, flags that clone(2) has for the namespaces, and what
 * the kernel answered. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void told(pid_t pid, pid_t tid, uint64_t flags, long error) {
    printf("%d %d %llu %ld\n", pid, tid, (unsigned long long)flags, -error);
}

/* The caller's memory holds something else as soon as the call returns, in both processes. */
static long start(uint64_t flags, uint64_t written) {
    struct clone_args *args = malloc(sizeof(*args));
    memset(args, 0, sizeof(*args));
    args->flags = flags;
    args->exit_signal = SIGCHLD;
    long child = syscall(SYS_clone3, args, sizeof(*args));
    args->flags = written;
    if (child == 0)
        _exit(0);
    return child < 0 ? -errno : child;
}

static void born(uint64_t flags, uint64_t written) {
    long child = start(flags, written);
    if (child > 0)
        waitpid(child, NULL, 0);
    if (child < 0)
        told(getpid(), gettid(), flags & ~(uint64_t)CLONE_FS, child);
    else if (flags)
        told(child, child, flags, 0);
}

static uint64_t thread_flags;

static int in_thread(void *written) {
    *(volatile int *)written = gettid();
    syscall(SYS_exit, 0);
    return 0;
}

/* A thread whose network is another one than that of its process. */
static void thread_apart(void) {
    static volatile int tid;
    static char stack[65536];
    clone(in_thread, stack + sizeof(stack),
          CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
              CLONE_NEWNET,
          (void *)&tid);
    while (!tid)
        usleep(1000);
    told(getpid(), tid, CLONE_NEWNET, 0);
}

static void *churn(void *at) {
    volatile char stack[4096];
    for (unsigned n = 0; n < sizeof(stack); n++)
        stack[n] = 0xff;
    return at;
}

static void ordinary(void) {
    for (int n = 0; n < 53; n++) {
        pthread_t thread;
        pthread_create(&thread, NULL, churn, NULL);
        pthread_join(thread, NULL);
        pid_t child = fork();
        if (!child)
            _exit(0);
        waitpid(child, NULL, 0);
        child = vfork();
        if (!child)
            _exit(0);
        waitpid(child, NULL, 0);
        char *argv[] = {"true", NULL};
        posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ);
        waitpid(child, NULL, 0);
        born(0, CLONE_NEWUSER | CLONE_NEWNET); /* told of nothing: it asked for nothing */
    }
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    ordinary();
    born(CLONE_NEWUSER | CLONE_NEWNET, UINT64_MAX);
    born(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID, 0);
    born(CLONE_NEWTIME, 0);
    born(CLONE_NEWNS | CLONE_FS, CLONE_NEWNS | CLONE_FS); /* EINVAL */
    thread_apart();
    if (unshare(CLONE_NEWPID | CLONE_NEWTIME))
        return 1;
    told(getpid(), gettid(), CLONE_NEWPID | CLONE_NEWTIME, 0);
    pid_t child = fork(); /* into the namespaces for children: they were told of */
    if (!child) {
        ordinary();
        _exit(0);
    }
    return waitpid(child, NULL, 0) != child;
}
