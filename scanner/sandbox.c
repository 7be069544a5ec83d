/*
 * sandbox.c - what a worker can still do: think, and answer
 *
 * Bytes of a message are interpreted behind this door only. seccomp and another user
 * than root are mandatory: when either cannot be had there is no worker and no
 * scan. Landlock is added where the kernel offers it. A failure is a negative errno
 * and the step that failed, never a weaker sandbox.
 */
#include "config.h"

#include "sandbox.h"

#include "bounds.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct sandbox_user sandbox_user(void)
{
	struct sandbox_user user = { geteuid(), getegid(), false };
	const struct passwd *pw;

	if (user.uid != 0)
		return user;
	pw = getpwnam("spoolck");
	if (pw == NULL)
		pw = getpwnam("nobody");
	user.uid = pw != NULL && pw->pw_uid != 0 ? pw->pw_uid : 65534;
	user.gid = pw != NULL && pw->pw_gid != 0 ? pw->pw_gid : 65534;
	user.change = true;
	return user;
}

/* Everything that each ABI version can restrict, and no rule that allows any of it. */
static int landlock(int *abi_r)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = (1ull << 13) - 1 };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int fd, ret = 0;

	*abi_r = abi > 0 ? (int)abi : 0;
	if (abi <= 0)
		return 0; /* not in this kernel, or not enabled: reported by the caller */
	if (abi >= 2)
		attr.handled_access_fs |= 1ull << 13; /* refer */
	if (abi >= 3)
		attr.handled_access_fs |= 1ull << 14; /* truncate */
	if (abi >= 5)
		attr.handled_access_fs |= 1ull << 15; /* ioctl on devices */
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int sandbox_prepare(const struct sandbox_user *user, int *landlock_r, const char **what_r)
{
	*what_r = "prctl(PR_SET_NO_NEW_PRIVS)";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (user->change) {
		*what_r = "becoming an unprivileged user";
		if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
		    setresuid(user->uid, user->uid, user->uid) < 0)
			return -errno;
		if (geteuid() == 0 || getuid() == 0 || setuid(0) == 0)
			return -EPERM;
	}
	*what_r = "prctl(PR_SET_DUMPABLE)";
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	*what_r = "Landlock";
	return landlock(landlock_r);
}

static int limits(void)
{
	static const struct {
		int which;
		rlim_t value;
	} table[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_FSIZE, 0 },
		{ RLIMIT_NOFILE, WORKER_FD + 1 },
		{ RLIMIT_NPROC, 0 },
		{ RLIMIT_MEMLOCK, 0 },
		{ RLIMIT_STACK, WORKER_STACK },
#ifndef SANITIZED
		{ RLIMIT_DATA, WORKER_MEMORY },
#endif
		{ RLIMIT_CPU, WORKER_CPU_SECONDS },
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct rlimit r = { table[i].value, table[i].value };

		if (setrlimit((__rlimit_resource_t)table[i].which, &r) < 0)
			return -errno;
	}
	return 0;
}

/* The whole list of what is allowed; reviewed like a constitution. */
static int filter(scmp_filter_ctx ctx, bool deep)
{
	const struct scmp_arg_cmp own_time = SCMP_A0(SCMP_CMP_EQ, CLOCK_PROCESS_CPUTIME_ID, 0);
	const struct scmp_arg_cmp channel = SCMP_A0(SCMP_CMP_EQ, WORKER_FD, 0);
	const struct scmp_arg_cmp not_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp anonymous =
		SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS);
	int ret = 0;

	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(recvfrom), 1, channel);
	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1, channel);
	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, not_exec, anonymous);
	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(munmap), 0);
	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(brk), 0);
	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(rt_sigreturn), 0);
	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(exit), 0);
	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(exit_group), 0);
	if (deep) /* the budget of one message; other clocks are read without a call */
		ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clock_gettime), 1, own_time);
#ifdef SANITIZED /* what the sanitizers' own code needs; such a build is for tests only */
	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(sigaltstack), 0);
	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(gettid), 0);
	ret |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(futex), 0);
#endif
	return ret == 0 ? 0 : -EINVAL;
}

int sandbox_close(bool deep, const char **what_r)
{
#ifdef SPOOLCK_SANDBOX_KILL
	const uint32_t otherwise = SCMP_ACT_KILL_PROCESS;
#else
	const uint32_t otherwise = SCMP_ACT_ERRNO(ENOSYS);
#endif
	scmp_filter_ctx ctx;
	int ret;

	*what_r = "resource limits";
	ret = limits();
	if (ret < 0)
		return ret;
	*what_r = "seccomp";
	ctx = seccomp_init(otherwise);
	if (ctx == NULL)
		return -ENOMEM;
	ret = filter(ctx, deep);
	if (ret == 0)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret < 0 ? ret : 0;
}
