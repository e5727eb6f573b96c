/* ---- Submission ---- */

extern time_t slurm_parse_time(const char *text, int past);
extern void slurm_free_will_run_response_msg(will_run_response_msg_t *resp);

SLURMPY_DROP(submitted, submit_response_msg_t, slurm_free_submit_response_response_msg)
SLURMPY_DROP(will_run, will_run_response_msg_t, slurm_free_will_run_response_msg)

#define SLURMPY_SPELLS_TRES (SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,11,0))

/* What sbatch marks as "not set", and slurm_init_job_desc_msg leaves at 0, which is a value. */
static void slurmpy_init_submission(job_desc_msg_t *desc)
{
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(24,5,0)
	desc->resv_port_cnt = NO_VAL16;
#endif
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(24,11,0)
	desc->oom_kill_step = NO_VAL16;
#endif
}

/* Several parts make a heterogeneous job. The list borrows them. The types of lists have other
 * names in other majors: all are pointers. */
static int slurmpy_submit(job_desc_msg_t **parts, int count, submit_response_msg_t **resp)
{
	void *list;
	int i, rc;

	*resp = NULL;
	if (!slurmpy_enter())
		return SLURMPY_NOT_READY;
	if (count == 1)
		return slurmpy_leave(slurm_submit_batch_job(parts[0], resp));
	list = slurm_list_create(NULL);
	for (i = 0; i < count; i++)
		slurm_list_append(list, parts[i]);
	rc = slurm_submit_batch_het_job(list, resp);
	i = errno;
	slurm_list_destroy(list);
	errno = i;
	return slurmpy_leave(rc);
}

static uint32_t slurmpy_submitted(const submit_response_msg_t *resp)
{
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25,11,0)
	return resp->step_id.job_id;
#else
	return resp->job_id;
#endif
}

static int slurmpy_will_run(job_desc_msg_t *desc, will_run_response_msg_t **resp)
{
	*resp = NULL;
	if (!slurmpy_enter())
		return SLURMPY_NOT_READY;
	return slurmpy_leave(slurm_job_will_run2(desc, resp));
}

/* Writes the ids of the jobs that would be preempted, as many as there is room for; returns
 * how many there are. */
static uint32_t slurmpy_preempted(will_run_response_msg_t *resp, uint32_t *ids, uint32_t size)
{
	uint32_t count = 0, *id;
	void *jobs;

	if (!resp->preemptee_job_id)
		return 0;
	jobs = slurm_list_iterator_create(resp->preemptee_job_id);
	while ((id = slurm_list_next(jobs))) {
		if (count < size)
			ids[count] = *id;
		count++;
	}
	slurm_list_iterator_destroy(jobs);
	return count;
}

static int slurmpy_update_job(const char *cluster, char *job, job_desc_msg_t *changes,
			      job_array_resp_msg_t **resp)
{
	int rc = slurmpy_enter_for(cluster);

	if (rc)
		return rc;
	changes->job_id_str = job;
	return slurmpy_leave(slurm_update_job2(changes, resp));
}

/* A list of nodes as Slurm sorts and shortens it, each once, or else as it shortens it in the
 * order and as often as they were named; with how many were named and how many are different.
 * The text goes back through slurmpy_xfree, and is NULL where the list is none of nodes. */
static int slurmpy_nodes(const char *list, int as_named, char **text, uint32_t *count, uint32_t *different)
{
	void *nodes;

	*text = NULL;
	if (!slurmpy_enter())
		return SLURMPY_NOT_READY;
	nodes = slurm_hostlist_create(list);
	if (nodes) {
		*count = slurm_hostlist_count(nodes);
		if (as_named)
			*text = slurm_hostlist_ranged_string_xmalloc(nodes);
		slurm_hostlist_uniq(nodes);
		*different = slurm_hostlist_count(nodes);
		if (!as_named)
			*text = slurm_hostlist_ranged_string_xmalloc(nodes);
		slurm_hostlist_destroy(nodes);
	}
	return slurmpy_leave(0);
}

#ifdef CONF_FLAG_ASRU
#define SLURMPY_SPECIALIZED CONF_FLAG_ASRU
#else
#define SLURMPY_SPECIALIZED CTL_CONF_ASRU
#endif

/* It came with 24.11: 0 is that of a job that shares with none. */
#if SLURM_VERSION_NUMBER < SLURM_VERSION_NUM(24,11,0)
#define JOB_SHARED_TOPO 0
#endif

/* Of SelectTypeParameters: macros from 23.11.2 on, which newer majors have made members of an enum
 * with other names and the same bits. What came before has no such bits. */
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,11,0)
#ifdef ENFORCE_BINDING_GRES
#define SLURMPY_BINDS_GRES ENFORCE_BINDING_GRES
#define SLURMPY_ONE_TASK ONE_TASK_PER_SHARING_GRES
#else
#define SLURMPY_BINDS_GRES (1 << 6)
#define SLURMPY_ONE_TASK (1 << 7)
#endif
#else
#define SLURMPY_BINDS_GRES 0
#define SLURMPY_ONE_TASK 0
#endif

/* What slurm.conf says of submissions. */
typedef struct {
	char limits[1024];
	char no_limits[1024];
	char mpi[1024];
	uint32_t governors;
	uint32_t governor;
	int specialized;
	int binds_gres;
	int one_task_per_sharing;
} slurmpy_submission_conf_t;

static int slurmpy_submission_conf(slurmpy_submission_conf_t *conf)
{
	if (!slurmpy_enter())
		return SLURMPY_NOT_READY;
	snprintf(conf->limits, sizeof(conf->limits), "%s",
		 slurm_conf.propagate_rlimits ? slurm_conf.propagate_rlimits : "");
	snprintf(conf->no_limits, sizeof(conf->no_limits), "%s",
		 slurm_conf.propagate_rlimits_except ? slurm_conf.propagate_rlimits_except : "");
	snprintf(conf->mpi, sizeof(conf->mpi), "%s",
		 slurm_conf.mpi_params ? slurm_conf.mpi_params : "");
	conf->governors = slurm_conf.cpu_freq_govs;
	conf->governor = slurm_conf.cpu_freq_def;
	conf->specialized = !!(slurm_conf.conf_flags & SLURMPY_SPECIALIZED);
	conf->binds_gres = !!(slurm_conf.select_type_param & SLURMPY_BINDS_GRES);
	conf->one_task_per_sharing = !!(slurm_conf.select_type_param & SLURMPY_ONE_TASK);
	return slurmpy_leave(0);
}
