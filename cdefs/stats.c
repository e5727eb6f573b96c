/* Live statistics: each node of a step is asked. */

SLURMPY_DROP(stats, job_step_stat_response_msg_t, slurm_job_step_stat_response_msg_free)

static int slurmpy_step_stat(const char *cluster, job_step_info_t *step,
			     job_step_stat_response_msg_t **resp)
{
	int rc = slurmpy_enter_for(cluster);

	*resp = NULL;
	return rc ? rc : slurmpy_leave(slurm_job_step_stat(&step->step_id, step->nodes,
							    step->start_protocol_ver, resp));
}

/* The answer of the next node, which is the caller's from then on. */
static job_step_stat_t *slurmpy_pop_stat(job_step_stat_response_msg_t *resp)
{
	return resp->stats_list ? slurm_list_pop(resp->stats_list) : NULL;
}
