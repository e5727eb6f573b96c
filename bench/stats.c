/* What `Jobs.load_stats()` asks for, in C with nothing around it: the steps of all jobs in one
 * call, then each step's nodes, by several threads. `measure.py` compiles it and loads it into its
 * own process, where slurmpy has made Slurm ready and libslurm's symbols global. */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <slurm/slurm_version.h>

typedef struct {
	job_step_info_response_msg_t *steps;
	/* The next step to ask for, how many gave no figures, and the last error among them. */
	atomic_uint next, missing;
	atomic_int error;
} bench_crew_t;

static void *bench_work(void *arg)
{
	bench_crew_t *crew = arg;
	job_step_stat_response_msg_t *resp;
	job_step_info_t *step;
	uint32_t number;
	int rc;

	while ((number = atomic_fetch_add(&crew->next, 1)) < crew->steps->job_step_count) {
		step = &crew->steps->job_steps[number];
		resp = NULL;
		errno = 0;
		rc = slurm_job_step_stat(&step->step_id, step->nodes, step->start_protocol_ver,
					 &resp);
		if (rc || !resp || !resp->stats_list || slurm_list_count(resp->stats_list) < 1) {
			atomic_store(&crew->error, rc > 0 ? rc : errno);
			atomic_fetch_add(&crew->missing, 1);
		}
		if (resp)
			slurm_job_step_stat_response_msg_free(resp);
	}
	return NULL;
}

static int bench_steps(job_step_info_response_msg_t **resp)
{
	uint16_t flags = SHOW_ALL | SHOW_LOCAL;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25,11,0)
	slurm_step_id_t id = SLURM_STEP_ID_INITIALIZER;

	id.job_id = NO_VAL;
	return slurm_get_job_steps(&id, resp, flags);
#else
	return slurm_get_job_steps((time_t) 0, NO_VAL, NO_VAL, resp, flags);
#endif
}

static double bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Seconds that it takes, with freeing what was answered; below 0 where something went wrong, and
 * then `words` say what. */
double bench_stats(uint32_t wanted, uint32_t threads, char *words, size_t size)
{
	pthread_t *crew_threads = calloc(threads, sizeof(*crew_threads));
	bench_crew_t crew = { 0 };
	uint32_t found, started, missing, i;
	double start;
	int rc = 0;

	if (!crew_threads) {
		snprintf(words, size, "no memory for %u threads", threads);
		return -1;
	}
	start = bench_now();
	errno = 0;
	if (bench_steps(&crew.steps)) {
		snprintf(words, size, "slurm_get_job_steps: %s", slurm_strerror(errno));
		free(crew_threads);
		return -1;
	}
	found = crew.steps->job_step_count;
	for (started = 0; started < threads && started < found; started++) {
		rc = pthread_create(&crew_threads[started], NULL, bench_work, &crew);
		if (rc)
			break;
	}
	for (i = 0; i < started; i++)
		pthread_join(crew_threads[i], NULL);
	slurm_free_job_step_info_response_msg(crew.steps);
	free(crew_threads);
	missing = atomic_load(&crew.missing);
	if (rc)
		snprintf(words, size, "thread %u of %u did not start: error %d", started, threads,
			 rc);
	else if (found != wanted)
		snprintf(words, size, "%u steps were loaded, not %u", found, wanted);
	else if (missing)
		snprintf(words, size, "slurm_job_step_stat: %u of %u steps without figures: %s",
			 missing, found, slurm_strerror(atomic_load(&crew.error)));
	else
		return bench_now() - start;
	return -1;
}
