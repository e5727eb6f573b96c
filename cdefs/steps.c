/* Steps: the calls whose signatures differ, and what libslurm leaves to be freed. */

/* Held to a cluster, like what is done to a job: NULL takes the one that is in use. */
static int slurmpy_load_steps(const char *cluster, uint32_t job_id,
			      job_step_info_response_msg_t **resp)
{
	uint16_t flags = SHOW_ALL | SHOW_LOCAL;
	int rc = slurmpy_enter_for(cluster);

	*resp = NULL;
	if (rc)
		return rc;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25,11,0)
	slurm_step_id_t id = SLURM_STEP_ID_INITIALIZER;

	id.job_id = job_id;
	return slurmpy_leave(slurm_get_job_steps(&id, resp, flags));
#else
	return slurmpy_leave(slurm_get_job_steps((time_t) 0, job_id, NO_VAL, resp, flags));
#endif
}

/* Frees a message with the texts that libslurm's own function forgets, in one major or the
 * other; slurm_xfree leaves NULL behind, so that none is freed twice. */
static void slurmpy_free_steps(job_step_info_response_msg_t *msg)
{
	job_step_info_t *step;
	uint32_t i;

	for (i = 0; i < msg->job_step_count; i++) {
		step = &msg->job_steps[i];
		slurm_xfree((void **) &step->cpus_per_tres);
		slurm_xfree((void **) &step->submit_line);
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,2,0)
		slurm_xfree((void **) &step->container_id);
#endif
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25,5,0)
		slurm_xfree((void **) &step->cwd);
		slurm_xfree((void **) &step->job_name);
		slurm_xfree((void **) &step->std_err);
		slurm_xfree((void **) &step->std_in);
		slurm_xfree((void **) &step->std_out);
#endif
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(26,5,0)
		slurm_xfree((void **) &step->container_type);
#endif
	}
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(24,5,0)
	if (msg->stepmgr_jobs)
		slurm_list_destroy(msg->stepmgr_jobs);
	msg->stepmgr_jobs = NULL;
#endif
	slurm_free_job_step_info_response_msg(msg);
}

SLURMPY_DROP(steps, job_step_info_response_msg_t, slurmpy_free_steps)

static int slurmpy_signal_step(const char *cluster, uint32_t job_id, uint32_t step_id,
			       uint16_t signal)
{
	int rc = slurmpy_enter_for(cluster);

	if (rc)
		return rc;
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25,11,0)
	slurm_step_id_t id = SLURM_STEP_ID_INITIALIZER;

	id.job_id = job_id;
	id.step_id = step_id;
	return slurmpy_leave(slurm_kill_job_step(&id, signal, 0));
#elif SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23,11,0)
	return slurmpy_leave(slurm_kill_job_step(job_id, step_id, signal, 0));
#else
	return slurmpy_leave(slurm_kill_job_step(job_id, step_id, signal));
#endif
}

static int slurmpy_limit_step(const char *cluster, uint32_t job_id, uint32_t step_id,
			      uint32_t minutes)
{
	step_update_request_msg_t changes;
	int rc = slurmpy_enter_for(cluster);

	if (rc)
		return rc;
	slurm_init_update_step_msg(&changes);
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25,11,0)
	changes.step_id.job_id = job_id;
	changes.step_id.step_id = step_id;
#else
	changes.job_id = job_id;
	changes.step_id = step_id;
#endif
	changes.time_limit = minutes;
	return slurmpy_leave(slurm_update_step(&changes));
}

/* The names in a list of nodes, with commas between them; the text goes back through free(). NULL
 * where there is no memory, or the list is none of nodes. */
static char *slurmpy_hosts(const char *list)
{
	void *hosts = slurm_hostlist_create(list);
	size_t size = 0;
	char *text = NULL, *host, *comma = "";
	FILE *file;

	if (!hosts)
		return NULL;
	file = open_memstream(&text, &size);
	while (file && (host = slurm_hostlist_shift(hosts))) {
		fprintf(file, "%s%s", comma, host);
		comma = ",";
		free(host);
	}
	slurm_hostlist_destroy(hosts);
	if (!file || fclose(file) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
