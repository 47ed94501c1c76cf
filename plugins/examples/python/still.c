/* What a build may see of its machine, held still.
 *
 * componentize-py runs the interpreter once and puts its memory into the component. In that memory is what the
 * interpreter was told meanwhile: random numbers (the seed of its hashes), the time, the times and numbers of files,
 * the order of folders, and whether a module was compiled before. So no two builds of one source would be the same.
 * build.sh loads this library into the process that runs the tool (LD_PRELOAD), and make_component.py says when to
 * hold still. From then on there is one random number and one time, files have neither times nor numbers, folders are
 * sorted, and there are no compiled modules.
 *
 * The tool makes most of its system calls itself, not through the C library. So the kernel is asked to hand such
 * calls of this process back to it (seccomp), and they are made here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* A system call that the kernel lets pass: it tells by the address behind the instruction. */
long still_call(long number, long a, long b, long c, long d, long e);
extern const char still_called[];

#if defined __x86_64__
__asm__(".text\n.globl still_call, still_called\nstill_call:\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\nmov %r8, %r10\nmov %r9, %r8\n"
        "syscall\nstill_called:\nret\n");
#define ARGUMENT(context, n) ((context)->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8}[n]])
#define ANSWER(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined __aarch64__
__asm__(".text\n.globl still_call, still_called\nstill_call:\n"
        "mov x8, x0\nmov x0, x1\nmov x1, x2\nmov x2, x3\nmov x3, x4\nmov x4, x5\n"
        "svc #0\nstill_called:\nret\n");
#define ARGUMENT(context, n) ((context)->uc_mcontext.regs[n])
#define ANSWER(context) ((context)->uc_mcontext.regs[0])
#else
#error "this processor is not known here"
#endif

enum { RANDOM = 7, TIME = 1000000000 };

static int still;

ssize_t getrandom(void *bytes, size_t length, unsigned flags) {
    if (!still) return syscall(SYS_getrandom, bytes, length, flags);
    memset(bytes, RANDOM, length);
    return (ssize_t)length;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!still) return (int)syscall(SYS_clock_gettime, clock, now);
    now->tv_sec = TIME;
    now->tv_nsec = 0;
    return 0;
}

/* An entry of a folder, as the kernel writes it. */
struct entry {
    uint64_t number;
    int64_t next;
    unsigned short length;
    unsigned char kind;
    char name[];
};

/* Folders that are being read: all entries, sorted, and how far they were handed out. */
static struct folder {
    int file;
    struct entry **entries;
    size_t count, at;
} *folders;
static size_t folder_count;
static char lock;

/* Whether this is where compiled modules are. */
static int compiled(const char *path) {
    return path && strstr(path, "__pycache__");
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(struct entry *const *)a)->name, (*(struct entry *const *)b)->name);
}

static void forget(struct folder *folder) {
    while (folder->count) free(folder->entries[--folder->count]);
    free(folder->entries);
    folder->entries = NULL;
    folder->at = 0;
}

static struct folder *folder_of(int file) {
    for (size_t n = 0; n < folder_count; n++)
        if (folders[n].file == file) return &folders[n];
    struct folder *more = realloc(folders, (folder_count + 1) * sizeof *folders);
    if (!more) return NULL;
    folders = more;
    folders[folder_count] = (struct folder){.file = file};
    return &folders[folder_count++];
}

static long read_folder(int file, char *buffer, size_t size) {
    struct folder *folder = folder_of(file);
    if (!folder) return -ENOMEM;
    /* At its beginning it is read whole, however often it is begun. */
    if (lseek(file, 0, SEEK_CUR) == 0) {
        forget(folder);
        _Alignas(struct entry) char read[32768];
        for (long length; (length = still_call(SYS_getdents64, file, (long)read, sizeof read, 0, 0)) != 0;) {
            if (length < 0) return length;
            for (long at = 0; at < length;) {
                struct entry *entry = (struct entry *)(read + at);
                at += entry->length;
                if (compiled(entry->name)) continue;
                struct entry **more = realloc(folder->entries, (folder->count + 1) * sizeof *more);
                struct entry *copy = malloc(entry->length);
                if (more) folder->entries = more;
                if (!more || !copy) return free(copy), -ENOMEM;
                memcpy(copy, entry, entry->length);
                more[folder->count++] = copy;
            }
        }
        qsort(folder->entries, folder->count, sizeof *folder->entries, by_name);
    }
    size_t written = 0;
    for (; folder->at < folder->count; folder->at++) {
        struct entry *entry = folder->entries[folder->at];
        if (written + entry->length > size) return written ? (long)written : -EINVAL;
        entry->number = 1;
        entry->next = (int64_t)folder->at + 1;
        memcpy(buffer + written, entry, entry->length);
        written += entry->length;
    }
    return (long)written;
}

static void trapped(int signal, siginfo_t *info, void *given) {
    (void)signal;
    ucontext_t *context = given;
    int before = errno;
    long number = info->si_syscall, a[5], answer;
    for (int n = 0; n < 5; n++) a[n] = (long)ARGUMENT(context, n);

    if (number == SYS_getdents64) {
        while (__atomic_test_and_set(&lock, __ATOMIC_ACQUIRE)) {}
        answer = read_folder((int)a[0], (char *)a[1], (size_t)a[2]);
        __atomic_clear(&lock, __ATOMIC_RELEASE);
    } else if (number == SYS_getrandom) {
        answer = getrandom((void *)a[0], (size_t)a[1], 0);
    } else if (number != SYS_fstat && compiled((const char *)a[1])) {
        answer = number == SYS_mkdirat ? -EACCES : -ENOENT;
    } else {
        answer = still_call(number, a[0], a[1], a[2], a[3], a[4]);
        if (answer == 0 && number == SYS_statx) {
            struct statx *file = (struct statx *)a[4];
            memset(&file->stx_atime, 0, sizeof file->stx_atime);
            memset(&file->stx_btime, 0, sizeof file->stx_btime);
            memset(&file->stx_ctime, 0, sizeof file->stx_ctime);
            memset(&file->stx_mtime, 0, sizeof file->stx_mtime);
            file->stx_ino = file->stx_nlink = 1;
            file->stx_dev_major = file->stx_dev_minor = 0;
            if (S_ISDIR(file->stx_mode)) file->stx_size = 0;
        } else if (answer == 0 && (number == SYS_fstat || number == SYS_newfstatat)) {
            struct stat *file = (struct stat *)a[number == SYS_fstat ? 1 : 2];
            memset(&file->st_atim, 0, sizeof file->st_atim);
            memset(&file->st_ctim, 0, sizeof file->st_ctim);
            memset(&file->st_mtim, 0, sizeof file->st_mtim);
            file->st_ino = file->st_nlink = 1;
            file->st_dev = 0;
            if (S_ISDIR(file->st_mode)) file->st_size = 0;
        }
    }
    ANSWER(context) = answer;
    errno = before;
}

/* Holds still until the process ends. Returns 0, or the number of the error: then nothing has changed. */
int hold_still(void) {
#define ADDRESS(part) offsetof(struct seccomp_data, instruction_pointer) + (part)
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, (skip))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define TRAP(number) UNLESS(number, 1), RETURN(SECCOMP_RET_TRAP)
    uint64_t own = (uint64_t)still_called;
    /* Both processors have the lower half first. */
    struct sock_filter filter[] = {
        LOAD(ADDRESS(0)), UNLESS(own, 3), LOAD(ADDRESS(4)), UNLESS(own >> 32, 1), RETURN(SECCOMP_RET_ALLOW),
        LOAD(offsetof(struct seccomp_data, nr)),
        TRAP(SYS_getrandom), TRAP(SYS_getdents64), TRAP(SYS_statx), TRAP(SYS_fstat), TRAP(SYS_newfstatat),
        TRAP(SYS_openat), TRAP(SYS_openat2), TRAP(SYS_mkdirat),
        RETURN(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
    still = 1;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0) return 0;
    still = 0;
    return errno;
}
