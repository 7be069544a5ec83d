/*
 * test-sandbox.c - what a worker tries in vain
 *
 * Each child goes through the door that workers go through, tries one thing, and
 * tells over its channel how the kernel answered. The lane memory's own defences are tested
 * without seccomp in front of them, so that each holds alone.
 */
#include "config.h"

#include "fdpass.h"
#include "hire.h"
#include "lanemem.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static uint8_t victim[16]; /* memory that process_vm_writev would like to change */
static struct lanemem lane[2];
static const uint8_t *readonly; /* the worker's view of lane memory */

/* --- What a worker tries ------------------------------------------------------- */

static long try_open(void) { return open("/etc/passwd", O_RDONLY); }
static long try_create(void) { return open("/tmp/spoolck-escape", O_WRONLY | O_CREAT, 0600); }
static long try_socket(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static long try_unix(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static long try_fork(void) { return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
static long try_kill(void) { return kill(getppid(), 0); }
static long try_kill_zero(void) { return syscall(SYS_kill, 0, SIGCONT); }
static long try_ptrace(void) { return ptrace(PTRACE_TRACEME, 0, NULL, NULL); }
static long try_unlink(void) { return unlink("/tmp/spoolck-nothing"); }
static long try_rename(void) { return rename("/tmp/spoolck-nothing", "/tmp/spoolck-other"); }
static long try_mkdir(void) { return mkdir("/tmp/spoolck-escape", 0700); }
static long try_setuid(void) { return syscall(SYS_setuid, 0); }
static long try_write(void) { return write(1, "x", 1); }
static long try_send_elsewhere(void) { return send(3, "x", 1, 0); }
static long try_memfd_write(void) { return pwrite(3, "x", 1, 0); }
static long try_memfd_truncate(void) { return ftruncate(3, 0); }
static long try_prctl(void) { return syscall(SYS_prctl, 22, 0, 0, 0, 0); }

static long try_execve(void)
{
	char *argv[] = { NULL };

	return execve("/bin/true", argv, argv);
}

static long try_process_vm_writev(void)
{
	struct iovec iov = { victim, sizeof victim };

	return syscall(SYS_process_vm_writev, 1, &iov, 1, &iov, 1, 0);
}

static long try_mprotect_lane(void)
{
	return mprotect((void *)(size_t)readonly, 4096, PROT_READ | PROT_WRITE);
}

static long try_mmap_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : 0;
}

static long try_mprotect_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -2 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static const struct {
	const char *name;
	long (*attempt)(void);
} attempts[] = {
	{ "open", try_open },
	{ "create", try_create },
	{ "socket", try_socket },
	{ "unix-socket", try_unix },
	{ "fork", try_fork },
	{ "execve", try_execve },
	{ "kill-parent", try_kill },
	{ "kill-group", try_kill_zero },
	{ "ptrace", try_ptrace },
	{ "process_vm_writev", try_process_vm_writev },
	{ "unlink", try_unlink },
	{ "rename", try_rename },
	{ "mkdir", try_mkdir },
	{ "setuid", try_setuid },
	{ "prctl", try_prctl },
	{ "write", try_write },
	{ "send-on-another-descriptor", try_send_elsewhere },
	{ "mprotect-lane-memory", try_mprotect_lane },
	{ "pwrite-lane-memory", try_memfd_write },
	{ "ftruncate-lane-memory", try_memfd_truncate },
	{ "mmap-executable", try_mmap_exec },
	{ "mprotect-executable", try_mprotect_exec },
};

struct told {
	long ret;
	int error;
	unsigned uid;
};

enum door { DOOR_OPEN /* only the zygote's half of it */, DOOR_WORKER, DOOR_VOLUME };

static bool closed(enum door door)
{
	const char *what;

	switch (door) {
	case DOOR_OPEN: return true;
	case DOOR_WORKER: return sandbox_close(SANDBOX_WORKER, &what) == 0;
	case DOOR_VOLUME: return sandbox_close(SANDBOX_VOLUME, &what) == 0;
	}
	return false;
}

/* Run `attempt` in a child that went through the door, and hear what happened. */
static struct told run_confined(long (*attempt)(void), enum door door)
{
	struct told told = { 0, 0, 0 };
	int pair[2], status;
	pid_t pid;

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), ==, 0);
	pid = fork();
	if (pid == 0) {
		struct sandbox_user user = sandbox_user();
		const char *what;
		int landlock;

		dup2(pair[1], 0);
		dup2(lane[0].fd, VOLUME_FD);
		dup2(lane[0].fd, 3); /* as if it had not been closed */
		readonly = mmap(NULL, LANE_BYTES, PROT_READ, MAP_SHARED, lane[0].fd, 0);
		if (readonly == MAP_FAILED || sandbox_prepare(&user, &landlock, &what) < 0)
			_exit(10);
		told.uid = geteuid();
		if (!closed(door))
			_exit(11);
		errno = 0;
		told.ret = attempt();
		told.error = errno;
		send(0, &told, sizeof told, 0);
		syscall(SYS_exit_group, 0); /* sanitizers put calls of their own before _exit() */
	}
	close(pair[1]);
	if (recv(pair[0], &told, sizeof told, 0) != sizeof told)
		told.ret = -99;
	close(pair[0]);
	waitpid(pid, &status, 0);
	g_assert_cmpint(status, ==, 0);
	return told;
}

static void test_attempt(gconstpointer data)
{
	size_t i = GPOINTER_TO_SIZE(data);

	for (enum door door = DOOR_WORKER; door <= DOOR_VOLUME; door++) {
		struct told told = run_confined(attempts[i].attempt, door);

		g_assert_cmpint(told.ret, ==, -1);
		g_assert_cmpint(told.error, ==, ENOSYS);
		if (geteuid() == 0)
			g_assert_cmpuint(told.uid, !=, 0);
	}
}

static long try_pread(void) { return pread(VOLUME_FD, victim, 4, 0); }
static long try_pread_elsewhere(void) { return pread(3, victim, 4, 0); }
static long try_read(void) { return read(VOLUME_FD, victim, 4); }
static long try_pwrite(void) { return pwrite(VOLUME_FD, "x", 1, 0); }

/* A volume server reads at a position from its disk, and nothing else from anywhere. */
static void test_volume(void)
{
	long (*const refused[])(void) = { try_pread_elsewhere, try_read, try_pwrite };

	g_assert_cmpint(run_confined(try_pread, DOOR_VOLUME).ret, ==, 4);
	g_assert_cmpint(run_confined(try_pread, DOOR_WORKER).error, ==, ENOSYS);
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
		g_assert_cmpint(run_confined(refused[i], DOOR_VOLUME).error, ==, ENOSYS);
}

/* The control: outside of the sandbox these attempts are no failures of their own. */
static void test_control(void)
{
	g_assert_cmpint(try_socket(), >=, 0);
	g_assert_cmpint(try_open(), >=, 0);
	g_assert_cmpint(try_mmap_exec(), ==, 0);
	g_assert_cmpint(try_mprotect_exec(), ==, 0);
}

/* Landlock alone, where the kernel has it. */
static void test_landlock(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	struct told told = run_confined(try_open, DOOR_OPEN);

	if (abi <= 0) {
		g_test_message("this kernel has no Landlock");
		g_assert_cmpint(told.ret, >=, 0);
		return;
	}
	g_test_message("Landlock ABI %ld", abi);
	g_assert_cmpint(told.ret, ==, -1);
	g_assert_cmpint(told.error, ==, EACCES);
}

/* --- Lane memory without seccomp in front of it ------------------------------------ */

static void test_lane_seals(void)
{
	void *p = mmap(NULL, LANE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, lane[0].fd, 0);

	g_assert_true(p == MAP_FAILED && errno == EPERM);
	g_assert_true(pwrite(lane[0].fd, "x", 1, 0) < 0 && errno == EPERM);
	g_assert_true(ftruncate(lane[0].fd, 0) < 0 && errno == EPERM);
	g_assert_true(ftruncate(lane[0].fd, 2 * LANE_BYTES) < 0 && errno == EPERM);
	p = mmap(NULL, LANE_BYTES, PROT_READ, MAP_SHARED, lane[0].fd, 0);
	g_assert_true(p != MAP_FAILED);
	g_assert_true(mprotect(p, LANE_BYTES, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
	lane[0].mem[0] = 'r'; /* the reader itself still can */
	g_assert_cmpint(*(uint8_t *)p, ==, 'r');
	munmap(p, LANE_BYTES);
}

/* A child of the reader does not inherit its writable mapping. */
static void test_lane_not_inherited(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile uint8_t *)lane[0].mem = 'x';
		_exit(0);
	}
	waitpid(pid, &status, 0);
	g_assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
	g_assert_cmpint(lane[0].mem[0], ==, 'r');
}

/* --- The zygote ----------------------------------------------------------------------- */

/* A real worker: ready, confined by the kernel's own account, gone when dismissed. */
static void test_worker(void)
{
	struct hired h = HIRED_NONE;
	const char *what;
	char step[60];
	int landlock, zygote = zygote_start(false, &landlock, &what);
	g_autofree char *path = NULL, *info = NULL, *status = NULL;
	const char *line;

	g_assert_cmpint(zygote, >=, 0);
	g_assert_cmpint(hire(&h, zygote, lane[0].fd, step), ==, 0);
	path = g_strdup_printf("/proc/self/fdinfo/%d", h.pidfd);
	g_assert_true(g_file_get_contents(path, &info, NULL, NULL));
	line = strstr(info, "\nPid:");
	g_assert_nonnull(line);
	g_free(path);
	path = g_strdup_printf("/proc/%d/status", atoi(line + 5));
	g_assert_true(g_file_get_contents(path, &status, NULL, NULL));
	g_assert_nonnull(strstr(status, "\nSeccomp:\t2\n"));
	g_assert_nonnull(strstr(status, "\nNoNewPrivs:\t1\n"));
	g_assert_nonnull(strstr(status, "\nCapEff:\t0000000000000000\n"));
	if (geteuid() == 0)
		g_assert_null(strstr(status, "\nUid:\t0\t"));
	dismiss(&h);
	g_assert_cmpint(h.fd, ==, -1);
	close(zygote);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(lanemem_open(lane), ==, 0);
	g_test_add_func("/sandbox/control", test_control);
	for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
		g_autofree char *name = g_strconcat("/sandbox/refused/", attempts[i].name, NULL);

		g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_attempt);
	}
	g_test_add_func("/sandbox/volume", test_volume);
	g_test_add_func("/sandbox/landlock", test_landlock);
	g_test_add_func("/lane-memory/seals", test_lane_seals);
	g_test_add_func("/lane-memory/not-inherited", test_lane_not_inherited);
	g_test_add_func("/zygote/worker", test_worker);
	return g_test_run();
}
