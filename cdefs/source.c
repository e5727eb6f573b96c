/* What cffi compiles beside the declarations: prototypes that no public header has, and
 * one function for each call whose signature is not the same in every major. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __GLIBC__
#error "slurmpy needs the GNU C library"
#endif

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <slurm/slurm_version.h>

/* Macros that older majors lack: 0 is a bit that no job has. */
#ifndef GRES_MULT_TASKS_PER_SHARING
#define GRES_MULT_TASKS_PER_SHARING 0
#endif
#ifndef GRES_ONE_TASK_PER_SHARING
#define GRES_ONE_TASK_PER_SHARING 0
#endif

extern slurm_conf_t slurm_conf;
extern int slurm_conf_init(const char *conf);
extern int slurm_conf_destroy(void);
extern char *slurm_job_state_string(uint32_t state);
extern uint32_t slurm_job_state_num(const char *name);
extern const char *slurm_job_share_string(uint16_t shared);
extern void slurm_xfree(void **item);
extern int64_t slurm_bit_size(bitstr_t *bits);
extern int slurm_bit_test(bitstr_t *bits, int64_t bit);
extern char *slurm_bit_fmt_full(bitstr_t *bits);

#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(24,5,0)
extern const char *slurm_job_state_reason_string(uint32_t reason);
#define REASON_STRING slurm_job_state_reason_string
#else
extern const char *slurm_job_reason_string(uint32_t reason);
#define REASON_STRING slurm_job_reason_string
#endif

static const char *slurmpy_reason_string(uint32_t reason)
{
	return REASON_STRING(reason);
}

/* ---- What Slurm has to say ----
 *
 * libslurm prints its messages to stderr, which is the host's. They go to a file in memory
 * instead, from which they are taken into exceptions and the log. The options are passed by
 * value and their struct is private: it has these members in 22.05 and one more from 23.02 on,
 * which came with scrun. A struct of the wrong size would end the process, so that it is tried
 * first in one of its own; where that fails, the messages stay where they are. */

static int slurmpy_messages = -1;
static struct stat slurmpy_messages_status;

/* A host that becomes a daemon closes every descriptor, and what it opens next has our
 * number: so it is looked at whether the file is still the one before it is used. */
static int slurmpy_messages_are_ours(void)
{
	struct stat status;

	return slurmpy_messages >= 0 && fstat(slurmpy_messages, &status) == 0 &&
	       status.st_dev == slurmpy_messages_status.st_dev &&
	       status.st_ino == slurmpy_messages_status.st_ino;
}

typedef struct {
	int stderr_level;
	int syslog_level;
	int logfile_level;
	bool prefix_level;
	bool buffered;
	bool raw;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,2,0)
	int logfile_format;
#endif
} slurmpy_log_options_t;

extern int slurm_log_alter_with_fp(slurmpy_log_options_t options, int facility, FILE *file);
extern int slurm_error(const char *format, ...);

/* Levels: 0 is quiet; 1 is what ends the process, which has its last words on stderr; 2 is
 * errors. */
static const slurmpy_log_options_t slurmpy_log_options = {
	.stderr_level = 1, .logfile_level = 2, .prefix_level = true
};

/* Whether the messages can be caught: 0 until a trial has found out, then 1 or -1. */
static int slurmpy_can_catch = 0;

#define SLURMPY_NOT_TRIED 77

/* Whether a child has ended by what libslurm did in it, and not by what befell it: a kill by
 * hand or for want of memory, its time limit, or nothing to be had from the system. */
static int slurmpy_failed_by_itself(int ended)
{
	if (WIFEXITED(ended))
		return WEXITSTATUS(ended) != SLURMPY_NOT_TRIED;
	switch (WIFSIGNALED(ended) ? WTERMSIG(ended) : 0) {
	case SIGSEGV:
	case SIGABRT:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
		return 1;
	default:
		return 0;
	}
}

/* In the child of a trial. */
static int slurmpy_try_to_catch(void)
{
	struct stat status = { .st_size = 0 };
	int fd = memfd_create("slurmpy", MFD_CLOEXEC), ended = 0;
	FILE *file;
	pid_t child, reaped = -1;

	if (fd < 0)
		return 0;
	/* Where it is ignored, nobody learns how the child has ended. */
	signal(SIGCHLD, SIG_DFL);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_DUMPABLE, 0);
		/* One that the host ignores would limit nothing. */
		signal(SIGALRM, SIG_DFL);
		alarm(5);
		file = fdopen(fd, "a");
		if (!file)
			_exit(SLURMPY_NOT_TRIED);
		slurm_log_alter_with_fp(slurmpy_log_options, 0, file);
		slurm_error("slurmpy");
		_exit(0);
	}
	if (child > 0)
		do
			reaped = waitpid(child, &ended, 0);
		while (reaped < 0 && errno == EINTR);
	fstat(fd, &status);
	close(fd);
	if (status.st_size > 0)
		return 1;
	return child > 0 && reaped == child && slurmpy_failed_by_itself(ended) ? -1 : 0;
}

static int slurmpy_catches(void)
{
	return slurmpy_can_catch;
}

static FILE *slurmpy_messages_file;
static pthread_mutex_t slurmpy_messages_lock = PTHREAD_MUTEX_INITIALIZER;

static void slurmpy_catch_messages(void)
{
	FILE *file;
	int fd;

	if (slurmpy_can_catch != 1)
		return;
	pthread_mutex_lock(&slurmpy_messages_lock);
	if (slurmpy_messages_are_ours())
		goto done;
	if (slurmpy_messages_file)
		/* libslurm closes the file that it had, and would close what the host has
		 * opened under the number since. */
		slurmpy_messages_file->_fileno = -1;
	slurmpy_messages = -1;
	fd = memfd_create("slurmpy", MFD_CLOEXEC);
	if (fd < 0)
		goto done;
	file = fcntl(fd, F_SETFL, O_APPEND) == 0 ? fdopen(fd, "a") : NULL;
	if (!file) {
		close(fd);
		goto done;
	}
	fstat(fd, &slurmpy_messages_status);
	slurm_log_alter_with_fp(slurmpy_log_options, 0, file);
	slurmpy_messages_file = file;
	slurmpy_messages = fd;
done:
	pthread_mutex_unlock(&slurmpy_messages_lock);
}

/* The child of a fork gets a file of its own under the same number. */
static void slurmpy_part_messages(void)
{
	int fd;

	pthread_mutex_init(&slurmpy_messages_lock, NULL);
	if (!slurmpy_messages_are_ours())
		return;
	fd = memfd_create("slurmpy", MFD_CLOEXEC);
	if (fd < 0)
		return;
	if (fcntl(fd, F_SETFL, O_APPEND) == 0 && dup3(fd, slurmpy_messages, O_CLOEXEC) >= 0)
		fstat(slurmpy_messages, &slurmpy_messages_status);
	close(fd);
}

/* What was said during the last call of this thread; what other threads' calls say at the
 * same time cannot be told from it. */
#define SLURMPY_LONGEST 4096
static __thread char slurmpy_said[SLURMPY_LONGEST];
static __thread int slurmpy_said_length;
static __thread off_t slurmpy_said_from;
static __thread unsigned slurmpy_said_emptied;

/* How often the file was emptied, so that a call knows where it has to begin. */
static unsigned slurmpy_emptied;

/* Calls that overlap without end would never find that there is no other. */
#define SLURMPY_MOST_SAID (1 << 20)

/* The host may have closed the file during a call, and have opened one of its own since. */
static off_t slurmpy_messages_end(void)
{
	struct stat status;

	return !slurmpy_messages_are_ours() || fstat(slurmpy_messages, &status) < 0 ?
		       0 :
		       status.st_size;
}

/* The first half of what was said and the end of it: the cause comes first, and the word of
 * the call that gave up last. */
static void slurmpy_hear(void)
{
	off_t from = slurmpy_said_emptied == slurmpy_emptied ? slurmpy_said_from : 0;
	off_t end = slurmpy_messages_end();
	ssize_t got, more = 0;

	slurmpy_said_length = 0;
	if (end <= from)
		return;
	if (end - from <= SLURMPY_LONGEST) {
		got = pread(slurmpy_messages, slurmpy_said, end - from, from);
	} else {
		got = pread(slurmpy_messages, slurmpy_said, SLURMPY_LONGEST / 2, from);
		if (got == SLURMPY_LONGEST / 2)
			memcpy(slurmpy_said + got - 5, "\n...\n", 5);
		if (got == SLURMPY_LONGEST / 2)
			more = pread(slurmpy_messages, slurmpy_said + got, SLURMPY_LONGEST / 2,
				     end - SLURMPY_LONGEST / 2);
	}
	slurmpy_said_length = (got > 0 ? (int) got : 0) + (more > 0 ? (int) more : 0);
}

static int slurmpy_messages_size(void)
{
	return slurmpy_said_length;
}

/* Takes them; returns how many bytes there were. */
static int slurmpy_take_messages(char *buf, int size)
{
	int length = slurmpy_said_length < size ? slurmpy_said_length : size;

	memcpy(buf, slurmpy_said, length);
	slurmpy_said_length = 0;
	return length;
}

/* ---- Calls ----
 *
 * A call holds the configuration, and who changes it waits for the calls to end. This is
 * done here and not in Python since nothing can interrupt it here. */

#define SLURMPY_NOT_READY (-10000)

static pthread_rwlock_t slurmpy_configuration =
	PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static int slurmpy_ready = 0;
/* Counts the configurations that there were. */
static long slurmpy_number = 0;

static __thread char slurmpy_answered_by[256];
static __thread long slurmpy_answered_under;

static const char *slurmpy_cluster(void)
{
	return slurmpy_answered_by;
}

static long slurmpy_configuration_number(void)
{
	return slurmpy_answered_under;
}

/* While munge is asked, its plugin sets SIGALRM to the default, which ends the process. The
 * plugin finds the function for it in the global scope, where this one stands before
 * libslurm's (see _runtime.py) and leaves that signal alone. */
typedef void (*slurmpy_handler_t)(int);

slurmpy_handler_t slurm_xsignal(int number, slurmpy_handler_t handler)
{
	static slurmpy_handler_t (*theirs)(int, slurmpy_handler_t);
	struct sigaction action;
	char name[32];
	void *library;

	if (number == SIGALRM)
		return sigaction(number, NULL, &action) == 0 ? action.sa_handler : SIG_ERR;
	if (!theirs) {
		snprintf(name, sizeof(name), "libslurm.so.%ld", slurm_api_version() >> 16);
		library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
		if (library)
			*(void **) &theirs = dlsym(library, "slurm_xsignal");
	}
	return theirs ? theirs(number, handler) : signal(number, handler);
}

/* libslurm also toggles SIGPIPE while it sends, and two threads at it can leave it so. In the
 * calling thread both signals wait until the call is over, and the last call to end puts back
 * what the first found. A SIGPIPE that has come up meanwhile is libslurm's or munge's own,
 * whose peer has closed: it would end the host, and is taken away. */
static const int slurmpy_signals[] = { SIGALRM, SIGPIPE };
#define SLURMPY_SIGNALS 2

static struct sigaction slurmpy_actions[SLURMPY_SIGNALS];
static pthread_mutex_t slurmpy_signals_lock = PTHREAD_MUTEX_INITIALIZER;
static int slurmpy_calls = 0;
static __thread sigset_t slurmpy_mask;
static __thread int slurmpy_pipe_was_pending;

static void slurmpy_guard_signals(void)
{
	sigset_t held, pending;
	int i;

	sigemptyset(&held);
	for (i = 0; i < SLURMPY_SIGNALS; i++)
		sigaddset(&held, slurmpy_signals[i]);
	pthread_sigmask(SIG_BLOCK, &held, &slurmpy_mask);
	sigemptyset(&pending);
	sigpending(&pending);
	slurmpy_pipe_was_pending = sigismember(&pending, SIGPIPE);
	pthread_mutex_lock(&slurmpy_signals_lock);
	slurmpy_said_from = slurmpy_messages_end();
	slurmpy_said_emptied = slurmpy_emptied;
	if (slurmpy_calls++ == 0)
		for (i = 0; i < SLURMPY_SIGNALS; i++)
			sigaction(slurmpy_signals[i], NULL, &slurmpy_actions[i]);
	pthread_mutex_unlock(&slurmpy_signals_lock);
}

static int slurmpy_same_handling(const struct sigaction *one, const struct sigaction *other)
{
	int number;

	if (one->sa_handler != other->sa_handler || one->sa_flags != other->sa_flags)
		return 0;
	/* Not by memcmp(): sa_mask has room for more signals than there are, and nobody has set
	 * that part. */
	for (number = 1; number < NSIG; number++)
		if (sigismember(&one->sa_mask, number) != sigismember(&other->sa_mask, number))
			return 0;
	return 1;
}

static void slurmpy_restore_signals(void)
{
	struct sigaction now, *before;
	int i;

	for (i = 0; i < SLURMPY_SIGNALS; i++) {
		before = &slurmpy_actions[i];
		if (sigaction(slurmpy_signals[i], NULL, &now) != 0 ||
		    slurmpy_same_handling(&now, before))
			continue;
		/* Another handler is one that the host has set meanwhile. */
		if (now.sa_handler == before->sa_handler || now.sa_handler == SIG_DFL ||
		    now.sa_handler == SIG_IGN)
			sigaction(slurmpy_signals[i], before, NULL);
	}
}

static void slurmpy_take_own_pipe(void)
{
	const struct timespec at_once = { 0, 0 };
	siginfo_t info;
	sigset_t pipe;

	if (slurmpy_pipe_was_pending)
		return;
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	/* Of one that a write has brought up the kernel says that this process has sent it by
	 * kill(). Any other is the host's, also one that a thread has sent to this one: which the
	 * C library's sigtimedwait() would say the same of. The last argument is the size of the
	 * kernel's set of signals, which has to be exact. */
	if (syscall(SYS_rt_sigtimedwait, &pipe, &info, &at_once, _NSIG / 8) == SIGPIPE &&
	    (info.si_code != SI_USER || info.si_pid != getpid()))
		raise(SIGPIPE);
}

static void slurmpy_release_signals(void)
{
	off_t end;

	pthread_mutex_lock(&slurmpy_signals_lock);
	slurmpy_hear();
	end = slurmpy_messages_end();
	if (--slurmpy_calls == 0 ? end > 0 : end > SLURMPY_MOST_SAID) {
		if (ftruncate(slurmpy_messages, 0) == 0)
			slurmpy_emptied++;
		else
			slurmpy_said_length = 0;
	}
	if (slurmpy_calls == 0)
		slurmpy_restore_signals();
	pthread_mutex_unlock(&slurmpy_signals_lock);
	slurmpy_take_own_pipe();
	pthread_sigmask(SIG_SETMASK, &slurmpy_mask, NULL);
}

static int slurmpy_enter(void)
{
	pthread_rwlock_rdlock(&slurmpy_configuration);
	if (!slurmpy_ready) {
		pthread_rwlock_unlock(&slurmpy_configuration);
		return 0;
	}
	snprintf(slurmpy_answered_by, sizeof(slurmpy_answered_by), "%s",
		 slurm_conf.cluster_name ? slurm_conf.cluster_name : "");
	slurmpy_answered_under = slurmpy_number;
	slurmpy_catch_messages();
	slurmpy_guard_signals();
	errno = 0;
	return 1;
}

/* What a call has returned, as a code: less than 0 says that errno has it, which may be -1 too, and
 * that the connection broke off where errno has nothing. Whoever reads errno later might read that of
 * a call which a signal handler of the host's has made. */
static int slurmpy_code(int rc, int error)
{
	if (rc >= 0)
		return rc;
	return error ? error : SLURMCTLD_COMMUNICATIONS_CONNECTION_ERROR;
}

static int slurmpy_leave(int rc)
{
	int code = slurmpy_code(rc, errno);

	slurmpy_release_signals();
	pthread_rwlock_unlock(&slurmpy_configuration);
	return code;
}

/* The time of an answer is one of the controller that gave it. */
static int slurmpy_load_jobs(time_t since, long configuration, job_info_msg_t **resp,
			     uint16_t show_flags)
{
	if (!slurmpy_enter())
		return SLURMPY_NOT_READY;
	if (configuration != slurmpy_number)
		since = 0;
	return slurmpy_leave(slurm_load_jobs(since, resp, show_flags));
}

static int slurmpy_load_job_user(job_info_msg_t **resp, uint32_t user_id, uint16_t show_flags)
{
	if (!slurmpy_enter())
		return SLURMPY_NOT_READY;
	return slurmpy_leave(slurm_load_job_user(resp, user_id, show_flags));
}

static int slurmpy_load_job(job_info_msg_t **resp, uint32_t job_id, uint16_t show_flags)
{
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(26,5,0)
	slurm_step_id_t id = SLURM_STEP_ID_INITIALIZER;

	id.job_id = job_id;
#else
	uint32_t id = job_id;
#endif
	if (!slurmpy_enter())
		return SLURMPY_NOT_READY;
	return slurmpy_leave(slurm_load_job(resp, id, show_flags));
}

static void slurmpy_xfree(char *text)
{
	void *item = text;

	slurm_xfree(&item);
}

static int slurmpy_has_task(slurm_job_info_t *job, uint32_t task)
{
	return task < slurm_bit_size(job->array_bitmap) && slurm_bit_test(job->array_bitmap, task);
}

/* Frees a message with the texts that libslurm's own function forgets, in one major or the
 * other; slurm_xfree leaves NULL behind, so that none is freed twice. */
static void slurmpy_free_jobs(job_info_msg_t *msg)
{
	slurm_job_info_t *job;
	uint32_t i;

	for (i = 0; i < msg->record_count; i++) {
		job = &msg->job_array[i];
		slurm_xfree((void **) &job->admin_comment);
		slurm_xfree((void **) &job->cluster_features);
		slurm_xfree((void **) &job->container);
		slurm_xfree((void **) &job->cronspec);
		slurm_xfree((void **) &job->prefer);
		slurm_xfree((void **) &job->system_comment);
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(24,5,0)
		slurm_xfree((void **) &job->resv_ports);
#endif
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25,11,0)
		slurm_xfree((void **) &job->submit_line);
#endif
	}
	slurm_free_job_info_msg(msg);
}

/* What frees the answer that a cell still has, where one came and nobody took it. */
#define SLURMPY_DROP(what, type, free_answer)		\
	static void slurmpy_drop_##what(type **cell)	\
	{						\
		type *answer = *cell;			\
							\
		*cell = NULL;				\
		if (answer)				\
			free_answer(answer);		\
	}

SLURMPY_DROP(jobs, job_info_msg_t, slurmpy_free_jobs)

/* The waiting tasks of an array record, whole: libslurm's own text of them is cut at 64
 * bytes unless the environment says otherwise, and the environment is the host's.
 * "1-13:2" is what squeue prints for more than five tasks at an even distance, where they
 * span more than ten numbers. */
static char *slurmpy_array_tasks(slurm_job_info_t *job)
{
	int64_t first = -1, last = -1, step = 0, size, bit;
	int count = 0, even = 1;
	char *ranges, *text;

	if (!job->array_bitmap)
		return NULL;
	size = slurm_bit_size(job->array_bitmap);
	for (bit = 0; bit < size; bit++) {
		if (!slurm_bit_test(job->array_bitmap, bit))
			continue;
		if (first < 0)
			first = bit;
		else if (!step)
			step = bit - last;
		else if (bit - last != step)
			even = 0;
		last = bit;
		count++;
	}
	if (even && step > 1 && count > 5 && last - first > 10) {
		if (asprintf(&text, "%lld-%lld:%lld", (long long) first, (long long) last,
			     (long long) step) < 0)
			return NULL;
		return text;
	}
	ranges = slurm_bit_fmt_full(job->array_bitmap);
	text = ranges ? strdup(ranges) : NULL;
	slurmpy_xfree(ranges);
	return text;
}

/* ---- Control ---- */

#define SLURMPY_OTHER_CLUSTER (-10001)
/* None of the jobs was looked at: this Slurm does not have the call, or cannot read a name. */
#define SLURMPY_NOT_TAKEN (-10002)

/* Returns 0 where the call may be made. */
static int slurmpy_enter_for(const char *cluster)
{
	if (!slurmpy_enter())
		return SLURMPY_NOT_READY;
	if (cluster && strcmp(cluster, slurmpy_answered_by) != 0) {
		slurmpy_leave(0);
		return SLURMPY_OTHER_CLUSTER;
	}
	return 0;
}

static int slurmpy_kill_job(const char *cluster, const char *job, uint16_t signal, uint16_t flags)
{
	int rc = slurmpy_enter_for(cluster);

	return rc ? rc : slurmpy_leave(slurm_kill_job2(job, signal, flags, NULL));
}

#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,11,6)
extern void slurm_bit_free(bitstr_t **bits);
extern void slurm_free_kill_jobs_response_msg(kill_jobs_resp_msg_t *msg);
/* The library may be of an older micro version than the headers. */
#pragma weak slurm_kill_jobs

static int slurmpy_kill_jobs(const char *cluster, char **jobs, uint32_t count, uint16_t signal,
			     uint16_t flags, kill_jobs_resp_msg_t **resp)
{
	/* Any state and any user: of the latter slurm.h has but the name, SLURM_AUTH_NOBODY. */
	kill_jobs_msg_t request = { .state = JOB_END, .user_id = 99 };
	int rc, code;

	*resp = NULL;
	rc = slurmpy_enter_for(cluster);
	if (rc)
		return rc;
	if (!slurm_kill_jobs) {
		slurmpy_leave(0);
		return SLURMPY_NOT_TAKEN;
	}
	request.jobs_array = jobs;
	request.jobs_cnt = count;
	request.signal = signal;
	request.flags = flags;
	rc = slurm_kill_jobs(&request, resp);
	/* It returns 1 where nobody answers. */
	code = slurmpy_leave(rc == 1 ? -1 : rc);
	return rc > 1 ? SLURMPY_NOT_TAKEN : code;
}

/* libslurm's own function forgets the bitmaps. */
static void slurmpy_free_kill_jobs(kill_jobs_resp_msg_t *resp)
{
	uint32_t i;

	for (i = 0; i < resp->jobs_cnt; i++)
		if (resp->job_responses[i].id && resp->job_responses[i].id->array_bitmap)
			slurm_bit_free(&resp->job_responses[i].id->array_bitmap);
	slurm_free_kill_jobs_response_msg(resp);
}

SLURMPY_DROP(kill_jobs, kill_jobs_resp_msg_t, slurmpy_free_kill_jobs)
#endif

SLURMPY_DROP(array, job_array_resp_msg_t, slurm_free_job_array_resp)

static int slurmpy_suspend(const char *cluster, char *job, job_array_resp_msg_t **resp)
{
	int rc = slurmpy_enter_for(cluster);

	return rc ? rc : slurmpy_leave(slurm_suspend2(job, resp));
}

static int slurmpy_resume(const char *cluster, char *job, job_array_resp_msg_t **resp)
{
	int rc = slurmpy_enter_for(cluster);

	return rc ? rc : slurmpy_leave(slurm_resume2(job, resp));
}

static int slurmpy_requeue(const char *cluster, char *job, uint32_t flags,
			   job_array_resp_msg_t **resp)
{
	int rc = slurmpy_enter_for(cluster);

	return rc ? rc : slurmpy_leave(slurm_requeue2(job, flags, resp));
}

static int slurmpy_set_priority(const char *cluster, char *job, uint32_t priority,
				uint32_t alloc_sid, job_array_resp_msg_t **resp)
{
	job_desc_msg_t changes;
	int rc = slurmpy_enter_for(cluster);

	if (rc)
		return rc;
	slurm_init_job_desc_msg(&changes);
	changes.job_id_str = job;
	changes.priority = priority;
	changes.alloc_sid = alloc_sid;
	return slurmpy_leave(slurm_update_job2(&changes, resp));
}

#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(26,5,0)
static slurm_step_id_t slurmpy_job(uint32_t job_id)
{
	slurm_step_id_t id = SLURM_STEP_ID_INITIALIZER;

	id.job_id = job_id;
	return id;
}
#else
#define slurmpy_job(job_id) (job_id)
#endif

static int slurmpy_notify_job(const char *cluster, uint32_t job_id, char *message)
{
	int rc = slurmpy_enter_for(cluster);

	return rc ? rc : slurmpy_leave(slurm_notify_job(slurmpy_job(job_id), message));
}

SLURMPY_DROP(text, char, free)

/* The text goes back through free(). */
static int slurmpy_batch_script(const char *cluster, uint32_t job_id, char **text, size_t *size)
{
	int rc = slurmpy_enter_for(cluster), error;
	FILE *file;

	*text = NULL;
	if (rc)
		return rc;
	file = open_memstream(text, size);
	if (!file)
		return slurmpy_leave(-1);
	rc = slurm_job_batch_script(file, slurmpy_job(job_id));
	error = errno;
	if (fclose(file) == 0 || rc)
		errno = error;
	else
		rc = -1;
	return slurmpy_leave(rc);
}

/* ---- Coming up ----
 *
 * libslurm ends the process where the configuration is wrong. So everything that can end
 * it is done in a forked child first, under a time limit, and the host does it only after
 * the child has seen it succeed. A fork, and not a Python started afresh, because the host
 * may be no Python at all; and no code but C's runs in the child. */

static int slurmpy_has_plugins = 0;

/* slurm_init after slurm_fini crashes in 24.11: a plugin finds its tables gone. So plugins
 * are loaded once in a process, and the configuration alone comes and goes. */
static void slurmpy_configure(const char *conf)
{
	if (slurmpy_has_plugins)
		slurm_conf_init(conf);
	else
		slurm_init(conf);
}

#define SLURMPY_NOTHING_DONE 0
#define SLURMPY_INITIALISED 1
#define SLURMPY_ANSWERED 2

/* A wrong configuration says so at once and is then retried by libslurm for a minute: with
 * words on stderr the child has this long. One that is silent may be waiting for the
 * network: it has as long as Slurm's own time-outs, and somewhat more. */
#define SLURMPY_WORDS_MS 4000
#define SLURMPY_SILENT_MS 30000
#define SLURMPY_READ_MS 120000

typedef struct {
	int stage;
	int code;
	int timed_out;
	char text[8192];
	int text_length;
	int started;
	pid_t child;
	int can_catch;
	int words;
	int results;
	long since;
} slurmpy_trial_t;

/* What the child reports. */
typedef struct {
	int stage;
	int code;
	int can_catch;
} slurmpy_report_t;

static void slurmpy_child_exit(int status, void *unused)
{
	(void) unused;
	_exit(status);
}

static void slurmpy_child(const char *conf, int words, int results)
{
	slurmpy_report_t report = { SLURMPY_NOTHING_DONE, 0, slurmpy_can_catch };
	job_info_msg_t *jobs = NULL;
	struct sigaction action;
	sigset_t none;
	int number, rc;

	/* exit(), which libslurm calls, would run what the host has left with atexit. What
	 * is registered last runs first. */
	on_exit(slurmpy_child_exit, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The host's handlers are not to see what a terminal sends to the whole group. */
	for (number = 1; number < NSIG; number++)
		if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			signal(number, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* libslurm flushes stdout, where the host may have left something. */
	__fpurge(stdout);
	__fpurge(stderr);
	dup2(words, STDOUT_FILENO);
	dup2(words, STDERR_FILENO);
	/* Where the messages go if the host has had libslurm ready before. */
	if (slurmpy_messages_are_ours())
		dup2(words, slurmpy_messages);

	if (!report.can_catch)
		report.can_catch = slurmpy_try_to_catch();
	slurmpy_configure(conf);
	report.stage = SLURMPY_INITIALISED;
	if (write(results, &report, sizeof(report)) < 0)
		_exit(1);

	/* The reads load the plugins that slurm_init leaves for later: a time in the future
	 * gets "nothing has changed" in place of the queue; nodes load what jobs load. */
	errno = 0;
	rc = slurm_load_jobs(time(NULL) + 365 * 86400, &jobs, SHOW_LOCAL);
	report.code = slurmpy_code(rc, errno);
#if SLURM_VERSION_NUMBER < SLURM_VERSION_NUM(23,2,0)
	if (report.code == 0 || report.code == SLURM_NO_CHANGE_IN_DATA) {
		node_info_msg_t *nodes = NULL;

		slurm_load_node((time_t) 0, &nodes, SHOW_LOCAL);
	}
#endif
	report.stage = SLURMPY_ANSWERED;
	if (write(results, &report, sizeof(report)) < 0)
		_exit(1);
	_exit(0);
}

static long slurmpy_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

/* Keep the first half of what is said and the end of it: the cause comes first, and the
 * word of the call that gave up last. */
static void slurmpy_take_words(slurmpy_trial_t *trial)
{
	char buf[2048];
	ssize_t got;
	int room, size = sizeof(trial->text) - 1;

	while ((got = read(trial->words, buf, sizeof(buf))) > 0) {
		room = size - trial->text_length;
		if (got > room) {
			int drop = (int) got - room;

			memmove(trial->text + size / 2, trial->text + size / 2 + drop,
				trial->text_length - size / 2 - drop);
			memcpy(trial->text + size / 2, "\n...\n", 5);
			trial->text_length -= drop;
		}
		memcpy(trial->text + trial->text_length, buf, got);
		trial->text_length += got;
		trial->text[trial->text_length] = '\0';
	}
}

static int slurmpy_limit_ms(const slurmpy_trial_t *trial)
{
	/* A name that cannot be resolved is tried ten times, a second apart. */
	if (trial->stage == SLURMPY_INITIALISED)
		return strstr(trial->text, "getaddrinfo") ? SLURMPY_WORDS_MS : SLURMPY_READ_MS;
	return trial->text_length ? SLURMPY_WORDS_MS : SLURMPY_SILENT_MS;
}

/* Starts a trial; returns 0, or the errno of what kept the child from being made. */
static int slurmpy_trial_start(slurmpy_trial_t *trial, const char *conf)
{
	int words[2], results[2], error;

	memset(trial, 0, sizeof(*trial));
	if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0)
		return errno;
	if (pipe2(results, O_CLOEXEC | O_NONBLOCK) < 0) {
		error = errno;
		close(words[0]);
		close(words[1]);
		return error;
	}
	fcntl(words[1], F_SETFL, 0);
	trial->child = fork();
	if (trial->child == 0)
		slurmpy_child(conf, words[1], results[1]);
	error = errno;
	close(words[1]);
	close(results[1]);
	if (trial->child < 0) {
		close(words[0]);
		close(results[0]);
		trial->child = 0;
		return error;
	}
	trial->started = 1;
	trial->words = words[0];
	trial->results = results[0];
	trial->since = slurmpy_now_ms();
	return 0;
}

/* Waits for a moment, so that the host's signal handlers get their turn in between. Returns
 * whether the trial goes on. */
static int slurmpy_trial_step(slurmpy_trial_t *trial)
{
	struct pollfd ready[2] = { { trial->words, POLLIN, 0 }, { trial->results, POLLIN, 0 } };
	slurmpy_report_t report;
	pid_t reaped;

	/* Another thread may have forked while the pipes were open, and would keep their end
	 * from being seen: so look for the child itself. */
	reaped = waitpid(trial->child, NULL, WNOHANG);
	if (reaped == trial->child ||
	    (reaped < 0 && errno == ECHILD && kill(trial->child, 0) < 0))
		trial->child = 0;
	else
		poll(ready, 2, 50);
	slurmpy_take_words(trial);
	while (read(trial->results, &report, sizeof(report)) == sizeof(report)) {
		trial->stage = report.stage;
		trial->code = report.code;
		trial->can_catch = report.can_catch;
		trial->since = slurmpy_now_ms();
	}
	if (trial->stage == SLURMPY_ANSWERED || !trial->child ||
	    strstr(trial->text, "retrying in"))
		return 0;
	trial->timed_out = slurmpy_now_ms() - trial->since > slurmpy_limit_ms(trial);
	return !trial->timed_out;
}

/* Also for a trial that was not started. */
static void slurmpy_trial_end(slurmpy_trial_t *trial)
{
	if (!trial->started)
		return;
	if (trial->child) {
		kill(trial->child, SIGKILL);
		while (waitpid(trial->child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	slurmpy_take_words(trial);
	close(trial->words);
	close(trial->results);
}

/* After a trial that succeeded. slurm_init leaves SLURM_CONF in the environment, where the
 * host's children would find it. */
static void slurmpy_init(const char *conf, const slurmpy_trial_t *trial)
{
	const char *before = getenv("SLURM_CONF");
	char *kept = before ? strdup(before) : NULL;

	pthread_rwlock_wrlock(&slurmpy_configuration);
	if (!slurmpy_can_catch)
		slurmpy_can_catch = trial->can_catch;
	slurmpy_catch_messages();
	slurmpy_said_from = slurmpy_messages_end();
	if (slurmpy_ready)
		slurm_conf_destroy();
	slurmpy_configure(conf);
	slurmpy_hear();
	slurmpy_has_plugins = 1;
	slurmpy_number++;
	slurmpy_ready = 1;
	pthread_rwlock_unlock(&slurmpy_configuration);
	if (kept)
		setenv("SLURM_CONF", kept, 1);
	else
		unsetenv("SLURM_CONF");
	free(kept);
}

static void slurmpy_fini(void)
{
	pthread_rwlock_wrlock(&slurmpy_configuration);
	if (slurmpy_ready)
		slurm_conf_destroy();
	slurmpy_ready = 0;
	pthread_rwlock_unlock(&slurmpy_configuration);
}

/* In the child of a fork: no thread is left that could give back a lock. */
#pragma weak slurm_conf_lock
#pragma weak slurm_conf_unlock
extern void *slurm_conf_lock(void);
extern void slurm_conf_unlock(void);

static __thread int slurmpy_forks;

/* Most calls hold libslurm's lock of its configuration for moments. A child that is made in one of
 * them would wait for it for ever: so the thread that forks has it meanwhile. */
static void slurmpy_before_fork(void)
{
	if (!slurm_conf_lock || !slurm_conf_unlock ||
	    pthread_rwlock_tryrdlock(&slurmpy_configuration) != 0)
		return;
	/* Before libslurm is ready, that would read the configuration, and could end the process. */
	if (slurmpy_ready) {
		slurm_conf_lock();
		slurmpy_forks = 1;
	} else {
		pthread_rwlock_unlock(&slurmpy_configuration);
	}
}

static void slurmpy_after_fork_in_parent(void)
{
	if (!slurmpy_forks)
		return;
	slurmpy_forks = 0;
	slurm_conf_unlock();
	pthread_rwlock_unlock(&slurmpy_configuration);
}

static void slurmpy_after_fork(void)
{
	pthread_rwlock_t fresh = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

	if (slurmpy_forks)
		slurm_conf_unlock();
	slurmpy_forks = 0;
	slurmpy_configuration = fresh;
	pthread_mutex_init(&slurmpy_signals_lock, NULL);
	if (slurmpy_calls)
		slurmpy_restore_signals();
	slurmpy_calls = 0;
	slurmpy_part_messages();
}
